"""emoji_quality: what counts as found; and the bundled model draws what it is told, with and without labkit."""

import pytest
import torch

import labkit
from labkit import data, emoji_quality
from labkit.evaluate import features, near_copies
from labkit.pretrained import load_recogniser, model_folder


def test_found_looks_at_the_nearest_and_at_the_style():
    """Four pictures on a line, the first two of one style: at 0, 1 and 10, 11."""
    reference = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    right, style = emoji_quality.found(torch.tensor([[0.1], [9.0], [2.0]]), torch.tensor([0, 1, 3]), reference, top=2)
    assert right.tolist() == [True, False, False]
    assert style.tolist() == [True, False, False]
    right, style = emoji_quality.found(torch.tensor([[5.6]]), torch.tensor([1]), reference, top=2)
    assert (right.tolist(), style.tolist()) == ([True], [False])  # second nearest: found, though of the wrong style


@pytest.fixture(scope="module")
def asked():
    """Sixteen training captions in each style, and their rows among all emoji."""
    names = [name for name, _, _ in data.emoji_names()]
    trained = [i for i, (_, _, part) in enumerate(data.emoji_names()) if part == "train"][::98]
    rows, captions = [*trained, *(i + len(names) for i in trained)], data.emoji("all")[1]
    return torch.tensor(rows), [captions[i] for i in rows]


@pytest.fixture(scope="module")
def share(asked):
    """How often the judge finds drawn pictures, and how often they are of the right style."""
    judge = load_recogniser("cpu")
    reference = features(judge, data.emoji("all")[0])

    def of(drawn: torch.Tensor) -> tuple[float, float]:
        right, style = emoji_quality.found(features(judge, drawn), asked[0], reference)
        return right.double().mean().item(), style.double().mean().item()

    return of


@pytest.mark.slow
def test_the_judge_finds_real_pictures_and_no_noise(asked, share):
    generator = torch.Generator().manual_seed(0)
    real = data.emoji("all")[0][asked[0]]
    assert share((real + 0.2 * torch.randn(real.shape, generator=generator)).clamp(-1, 1)) == (1.0, 1.0)
    assert share(torch.randn(real.shape, generator=generator).clamp(-1, 1))[0] < 0.1


def test_the_bundled_model_takes_every_caption_and_no_other_sign():
    painter = labkit.load_painter(device="cpu")
    assert painter.tokens(data.emoji("all")[1]).shape == (3272, 16)
    for caption in ("🍎, noto", "red apple!, noto", "red_apple, noto"):
        with pytest.raises(ValueError, match="was not taught the sign"):
            painter.tokens(caption)


@pytest.mark.slow
def test_a_training_picture_that_went_through_the_autoencoder_is_a_near_copy():
    """And none would be seen beside held-out pictures that are training pictures themselves."""
    (training, _), (held_out, _) = data.emoji("train"), data.emoji("held-out")
    apart = emoji_quality.without_twins(held_out, training)
    assert len(held_out) - len(apart) == 6
    painter = labkit.load_painter(device="cpu")
    again = painter.decode(painter.encode(training[::52]))
    assert near_copies(again, apart, training) > 0.7
    assert near_copies(again, held_out, training) == 0
    assert near_copies(apart, apart, training) < 0.02


@pytest.mark.slow
def test_the_bundled_model_draws_what_it_is_told(asked, share):
    drawn = labkit.load_painter(device="cpu").draw(asked[1], generator=torch.Generator().manual_seed(0))
    found, style = share(drawn)
    assert found > 0.4  # of 32; by chance 5 of 3,272 would be
    assert style > 0.8


@pytest.mark.slow
def test_diffusers_draws_with_it_without_labkit_and_with_another_scheduler(asked, share):
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(model_folder("emoji", words=True), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    how = {"num_inference_steps": 15, "guidance_scale": 4.0, "output_type": "pt"}
    drawn = pipeline(asked[1], generator=torch.Generator().manual_seed(0), **how).images
    assert share(drawn * 2 - 1)[0] > 0.4


def test_a_small_measurement_is_whole(monkeypatch):
    monkeypatch.setattr(emoji_quality, "SCALES", (4.0,))
    names = data.emoji_names()
    few = [i for i, (_, _, part) in enumerate(names) if part == "train"][:40] + [
        i for i, (_, _, part) in enumerate(names) if part != "train"
    ][:4]
    x, captions = data.emoji("all")
    rows = [*few, *(i + len(names) for i in few)]
    monkeypatch.setattr(data, "emoji_names", lambda: [names[i] for i in few])
    monkeypatch.setattr(data, "emoji", lambda _: (x[rows], [captions[i] for i in rows]))
    result = emoji_quality.measure(count=4, steps=2)
    assert set(result["sets"]) == {"guidance 4", "held out, guidance 4"}
    for each in result["sets"].values():
        assert all(0 <= share <= 1 for share in (*each["found"].values(), each["style"], each["near_copies"]))
        assert each["distance"][0] > result["floor"][0]  # two steps do not make pictures
    words = emoji_quality.report(result)
    assert "4 captions in each style, 2 DDIM steps" in words
    assert "held out, guidance 4" in words
