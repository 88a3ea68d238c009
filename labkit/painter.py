"""A trained text-to-image model to talk to: captions in, pictures out; it joins tokenizer, U-Net, autoencoder and loop.

It knows nothing of training and of files: `pretrained.load_painter` makes one.
"""

import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labkit.sample import Generators, guided, trajectory
from labkit.schedule import NoiseSchedule
from labkit.solvers import ddim
from labkit.text_to_image import LATENT, TOKENS, TextToImage, tokens_of


@dataclass(frozen=True)
class Painter:
    """The bundled text-to-image model, part by part.

    pipeline: the diffusers StableDiffusionPipeline, `pipeline(prompt)`; model: its text encoder and U-Net as
    `model(z_t, t, tokens)` -> ε̂; words: those that it was taught; taught: the numbers of all tokens that it was taught,
    signs among them (`known_from`). Pictures are (B, 3, 64, 64) in [-1, 1], latents z (B, 12, 8, 8); both are on the
    model's device.
    """

    pipeline: Any
    model: TextToImage
    words: frozenset[str]
    taught: frozenset[int]

    @property
    def schedule(self) -> NoiseSchedule:
        """β and α of the latents' noise."""
        return self.model.schedule

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.model.parameters()).device

    def tokens(self, captions: Sequence[str] | str) -> Tensor:
        """Captions as numbers (B, 16); "" is the caption that tells nothing.

        Raises ValueError for a word that the model was not taught, with the nearest that it was, for a sign that it was
        not taught, and for no caption at all, TypeError for what is no text. Warns where a caption is longer than 16
        tokens (start and end count), and says what is left out.
        """
        captions = _listed(captions)
        for caption in captions:
            _check_words(caption, self.words)
            self._check_signs(caption)
            read = self.pipeline.tokenizer.tokenize(caption)
            if len(read) > TOKENS - 2:
                left = " ".join(piece.removesuffix("</w>") for piece in read[TOKENS - 2 :])
                warnings.warn(f"{caption!r} is too long: the model reads {TOKENS - 2} words and commas, "
                              f"and this is left out: {left!r}", stacklevel=2)  # fmt: skip
        return tokens_of(self.pipeline.tokenizer, captions).to(self.device)

    def _check_signs(self, caption: str) -> None:
        # By tokens, not by characters: "," was taught, but the first token of ",," stands in no training caption.
        read = self.pipeline.tokenizer(caption, add_special_tokens=False, return_offsets_mapping=True)
        for number, (start, end) in zip(read.input_ids, read.offset_mapping, strict=True):
            if number not in self.taught:
                raise ValueError(
                    f"the model was not taught the sign {caption[start:end]!r} as it stands in {caption!r}; "
                    "write words, with a comma between them where one is needed"
                )

    def vectors(self, captions: Sequence[str] | str) -> Tensor:
        """The text encoder's view of captions: (B, 16, 128), a vector for each token, which knows those before it."""
        with torch.no_grad():
            return self.model.text_encoder(self.tokens(captions), return_dict=False)[0]

    def encode(self, x: Tensor) -> Tensor:
        """Pictures to latents, the mean of q(z | x)."""
        with torch.no_grad():
            return self.pipeline.vae.encode(x.to(self.device)).latent_dist.mean

    def decode(self, z: Tensor) -> Tensor:
        """Latents to pictures."""
        with torch.no_grad():
            return self.pipeline.vae.decode(z.to(self.device)).sample.clamp(-1, 1)

    def told(
        self, captions: Sequence[str] | str, scale: float = 4.0, without: str = ""
    ) -> Callable[[Tensor, int], Tensor]:
        """A model(z_t, t) that was told the captions, one for each image, with guidance `scale`.

        without: the caption to go away from (the negative prompt), by default the empty one.
        """
        return guided(self.model, self.tokens(captions), self.tokens(without)[0], scale)

    def film(
        self,
        captions: Sequence[str] | str,
        *,
        scale: float = 4.0,
        without: str = "",
        steps: int = 20,
        generator: Generators = None,
        progress: bool = False,
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield (t, z_t) of latents from (T, z_T) to (0, z): the loop of `draw`, step by step."""
        captions = _listed(captions)
        model, shape = self.told(captions, scale, without), (len(captions), *LATENT)
        how = {"steps": steps, "generator": generator, "device": self.device, "progress": progress}
        return trajectory(model, self.schedule, shape, solver=ddim, **how)

    def draw(self, captions: Sequence[str] | str, **settings: Any) -> Tensor:
        """Draw a picture for each caption, on the CPU; settings: those of `film`, whose last state is decoded."""
        for _, z in self.film(captions, **{"progress": True} | settings):  # noqa: B007
            pass
        return self.decode(z).cpu()


def words_in(caption: str) -> list[str]:
    """The words of a caption, in lower case: "T-Rex, noto" has t, rex and noto."""
    return re.findall(r"[^\W_]+", caption.lower())


def known_from(tokenizer: Any, captions: Sequence[str]) -> tuple[frozenset[str], frozenset[int]]:
    """What a model that was trained on `captions` was taught: their words, and the numbers of their tokens."""
    numbers = tokenizer(list(captions), add_special_tokens=False).input_ids
    words = frozenset(word for caption in captions for word in words_in(caption))
    return words, frozenset(number for caption in numbers for number in caption)


def _listed(captions: Sequence[str] | str) -> list[str]:
    listed = [captions] if isinstance(captions, str) or not isinstance(captions, Iterable) else list(captions)
    for caption in listed:
        if not isinstance(caption, str):
            raise TypeError(f"a caption is a {type(caption).__name__}; give a text such as 'red apple, noto'")
    if not listed:
        raise ValueError("there is no caption; give one or more, such as ['red apple, noto']")
    return listed


def _check_words(caption: str, known: frozenset[str]) -> None:
    for word in words_in(caption):
        if word not in known:
            near = difflib.get_close_matches(word, sorted(known), 3, 0.5)
            hint = f"the nearest known words are {', '.join(near)}" if near else "no known word is near"
            raise ValueError(f"the model was not taught the word {word!r} of {caption!r}; {hint}")
