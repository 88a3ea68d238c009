"""painter: captions become numbers or a clear sentence; what it draws is what diffusers' own pipeline draws."""

import warnings

import pytest
import torch

import labkit
from labkit.painter import Painter, known_from, words_in
from labkit.store import save_text_to_image
from labkit.text_to_image import LATENT, TextToImage, autoencoder, text_to_image, train_tokenizer

CAPTIONS = ["red apple, noto", "green apple, twemoji", "see-no-evil monkey, noto"]


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    """Untrained parts, written and read again."""
    from diffusers import StableDiffusionPipeline

    torch.manual_seed(0)
    schedule, tokenizer = labkit.NoiseSchedule.linear(), train_tokenizer(CAPTIONS)
    folder = tmp_path_factory.mktemp("painter") / "pipeline"
    save_text_to_image(autoencoder(), text_to_image(len(tokenizer), schedule), tokenizer, folder)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    model = TextToImage(pipeline.text_encoder, pipeline.unet, schedule).eval()
    return Painter(pipeline, model, *known_from(pipeline.tokenizer, CAPTIONS))


def test_words_are_split_as_the_tokenizer_splits_them(painter):
    assert words_in("See-no-evil Monkey, noto") == ["see", "no", "evil", "monkey", "noto"]
    assert painter.tokens("See-no-evil Monkey, noto").tolist() == painter.tokens(CAPTIONS[2]).tolist()


def test_an_unknown_word_is_named_with_its_neighbours(painter):
    with pytest.raises(
        ValueError, match=r"was not taught the word 'aple' of 'red aple'; the nearest known words are apple"
    ):
        painter.tokens(["red apple", "red aple"])
    with pytest.raises(ValueError, match="'xqzw' of 'xqzw'; no known word is near"):
        painter.draw("xqzw")


@pytest.mark.parametrize(
    ("caption", "sign"),
    [("🍎, noto", "🍎"), ("♥, twemoji", "♥"), ("red_apple, noto", "_"), ("!!", "!"), ("red apple,, noto", ",")],
)
def test_a_sign_that_stands_in_no_training_caption_is_named(painter, caption, sign):
    """The tokenizer cuts any sign into bytes, or puts the end token in its place: numbers without a meaning."""
    with pytest.raises(ValueError, match=f"was not taught the sign {sign!r} as it stands in {caption!r}"):
        painter.tokens(["red apple", caption])


@pytest.mark.parametrize("captions", [None, 5, [5], ["red apple", None], b"red apple"])
def test_a_caption_is_a_text(painter, captions):
    for take in (painter.tokens, painter.draw, painter.vectors):
        with pytest.raises(TypeError, match="a caption is a .*; give a text such as 'red apple, noto'"):
            take(captions)


def test_no_caption_is_refused(painter):
    for take in (painter.tokens, painter.draw):
        with pytest.raises(ValueError, match="there is no caption; give one or more"):
            take([])


def test_a_caption_that_is_too_long_says_what_is_cut(painter):
    with pytest.warns(UserWarning, match="14 words and commas, and this is left out: 'green apple'"):
        tokens = painter.tokens("red apple " * 7 + "green apple")
    assert tokens.tolist() == painter.tokens("red apple " * 7).tolist()


def test_a_caption_that_fits_says_nothing(painter):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert painter.tokens(["", "red apple " * 7]).shape == (2, 16)


def test_it_draws_what_the_pipeline_draws_from_the_same_noise(painter):
    captions, generator = CAPTIONS[:2], torch.Generator().manual_seed(1)
    drawn = painter.draw(captions, scale=3.0, steps=4, without="red apple", generator=generator)
    z_T = torch.randn(2, *LATENT, generator=torch.Generator().manual_seed(1))
    how = {"num_inference_steps": 4, "guidance_scale": 3.0, "negative_prompt": ["red apple"] * 2}
    theirs = painter.pipeline(captions, latents=z_T, output_type="pt", **how).images
    torch.testing.assert_close(drawn, theirs * 2 - 1, atol=1e-3, rtol=0)
    plain = painter.draw(captions, scale=3.0, steps=4, generator=torch.Generator().manual_seed(1))
    assert (plain - drawn).abs().max() > 1e-3  # the negative prompt counts


def test_scale_1_is_the_model_as_it_is_and_0_is_told_nothing(painter):
    z, tokens = torch.randn(2, *LATENT), painter.tokens(CAPTIONS[:2])
    with torch.no_grad():
        torch.testing.assert_close(painter.told(CAPTIONS[:2], 1.0)(z, 500), painter.model(z, 500, tokens))
        untold = painter.model(z, 500, painter.tokens(["", ""]))
        torch.testing.assert_close(painter.told(CAPTIONS[:2], 0.0)(z, 500), untold)


def test_pictures_become_latents_and_pictures(painter):
    z = painter.encode(torch.zeros(2, 3, 64, 64))
    assert z.shape == (2, *LATENT)
    assert painter.decode(z).shape == (2, 3, 64, 64)
    assert painter.decode(9 * z).abs().max() <= 1


def test_a_vector_knows_the_tokens_before_it_and_none_behind(painter):
    one, other = painter.vectors(["red apple, noto", "red apple, twemoji"])
    same = (one - other).abs().amax(1) < 1e-5
    assert same.tolist() == [True] * 4 + [False] * 12  # start, red, apple, comma; then the style, and all behind it
