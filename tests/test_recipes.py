"""recipes: a short run of each leaves all its files, goes on where it was, and moves every weight."""

import json
import shutil
import warnings

import pytest
import torch
from click.testing import CliRunner
from diffusers import DDPMPipeline

from labkit import NoiseSchedule, UNet, data, fashion_unet, recipes, train, velocity_loss
from labkit.classifier import Classifier
from labkit.cli import main

LITTLE = 600  # images of each split


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """The first images of each split, and a narrow network, so that a run takes seconds."""
    whole = {split: data.fashion_mnist(split) for split in ("train", "test")}
    monkeypatch.setattr(recipes, "fashion_mnist", lambda split: tuple(part[:LITTLE] for part in whole[split]))
    monkeypatch.setattr(recipes, "fashion_unet", lambda: fashion_unet((8, 8, 8)))


def run(*words):
    """Call `labkit train ...` and return what it printed."""
    done = CliRunner().invoke(main, ["train", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_a_run_of_fashion_leaves_a_pipeline_a_curve_and_samples_and_goes_on(tmp_path):
    """Cut short after a step and gone on, it has the later losses and the pictures of one that was left alone."""
    alone, out = tmp_path / "alone", tmp_path / "fashion"
    assert "3 of 3 steps done" in run("fashion", "--out", alone, "--steps", 3, "--batch-size", 4)
    assert "1 of 3 steps done" in run("fashion", "--out", out, "--steps", 3, "--batch-size", 4, "--minutes", 1e-9)
    assert "3 of 3 steps done" in run("fashion", "--out", out, "--steps", 3, "--batch-size", 4)
    losses = [torch.load(folder / "checkpoint.pt", weights_only=True)["losses"] for folder in (alone, out)]
    assert losses[0] == losses[1]
    assert (alone / "samples-000003.png").read_bytes() == (out / "samples-000003.png").read_bytes()
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt", "loss.png", "pipeline", "samples-000001.png", "samples-000003.png",
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = DDPMPipeline.from_pretrained(out / "pipeline", use_safetensors=True)
    assert json.loads((out / "pipeline/scheduler/scheduler_config.json").read_text())["beta_end"] == 0.02
    assert pipeline.scheduler.config.prediction_type == "v_prediction"


def test_a_checkpoint_of_another_model_is_one_sentence_and_no_traceback(tmp_path):
    torch.save({"model": {"weight": torch.zeros(3)}}, tmp_path / "checkpoint.pt")
    done = CliRunner().invoke(main, ["train", "fashion", "--out", str(tmp_path)])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {tmp_path / 'checkpoint.pt'} does not belong to this model and training")
    assert done.stderr.endswith("remove it or name another\n")
    assert done.stderr.count("\n") == 1


def test_the_judge_is_written_and_scored(tmp_path):
    output = run("classifier", "--out", tmp_path, "--epochs", 1)
    share = float(output.split("%")[0])
    from safetensors.torch import load_file

    classifier = Classifier()
    classifier.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x, labels = recipes.fashion_mnist("test")
    with torch.no_grad():
        right = (classifier.eval()(x).argmax(1) == labels).double().mean().item()
    assert share == pytest.approx(100 * right, abs=0.01)


@pytest.mark.parametrize("lower", [torch.float32, torch.bfloat16])
def test_the_loss_reaches_every_weight_with_the_right_gradient(lower):
    """A compiled backward pass once gave zeros below the first level: pictures without a plan. None may be lost."""
    torch.manual_seed(0)
    schedule = NoiseSchedule.linear()
    model = UNet(fashion_unet((8, 16, 16)).unet, schedule, velocity=True)
    x, _ = recipes.fashion_mnist("train")
    t = torch.randint(300, 700, (32,))
    epsilon = torch.randn(32, 1, 32, 32)

    def loss():
        return velocity_loss(model, schedule, x[:32], t, epsilon)

    with torch.autocast("cpu", torch.bfloat16, enabled=lower is torch.bfloat16):
        value = loss()
    value.backward()
    names = [name for name, _ in model.named_parameters() if not name.endswith("to_k.bias")]  # softmax cancels it
    parameters = dict(model.named_parameters())
    assert all(parameters[name].grad.abs().max() > 0 for name in names)
    # along the gradient the loss, in float32, changes as the gradient says
    with torch.no_grad():
        slope = sum(parameters[name].grad.square().sum() for name in names).item()
        values = []
        for step in (-1e-3, 1e-3):
            for name in names:
                parameters[name] += step * parameters[name].grad / slope**0.5
            values.append(loss().item())
            for name in names:
                parameters[name] -= step * parameters[name].grad / slope**0.5
    assert (values[1] - values[0]) / 2e-3 == pytest.approx(slope**0.5, rel=0.05)


@pytest.fixture
def few_emoji(monkeypatch):
    """Eight emoji, so that a few steps take seconds; nothing is learned from them."""
    names = data.emoji_names()[:4]
    x, captions = data.emoji()
    rows = [*range(4), *range(1636, 1640)]
    few = x[rows], [captions[i] for i in rows]
    monkeypatch.setattr(data, "emoji", lambda split: (few[0], list(few[1])))
    monkeypatch.setattr(data, "emoji_names", lambda: [(name, able, "train") for name, able, _ in names])


STEPS = {"picture_steps": 2, "word_steps": 4}


def interrupted(out, monkeypatch):
    """A run that is killed in the third step of its second stage, after its second was saved."""
    calls = []

    def breaks_off(*args):
        calls.append(args)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return velocity_loss(*args)

    with monkeypatch.context() as patch:
        patch.setattr(recipes, "velocity_loss", breaks_off)
        patch.setattr(recipes, "train", lambda *args, **settings: train(*args, **(settings | {"every": 2})))
        with pytest.raises(KeyboardInterrupt):
            recipes.emoji(out, **STEPS)


@pytest.mark.slow
def test_the_emoji_recipe_goes_from_pictures_to_a_pipeline(tmp_path, few_emoji):
    assert len(recipes.emoji(tmp_path, **STEPS)) == 4
    assert (tmp_path / "pipeline" / "model_index.json").is_file()
    assert {"autoencoder.pt", "words.pt", "autoencoder.png", "words.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_a_killed_second_stage_goes_on_as_if_nothing_had_happened(tmp_path, few_emoji, monkeypatch):
    interrupted(tmp_path / "killed", monkeypatch)
    first = torch.load(tmp_path / "killed/words.pt", weights_only=True)["losses"]
    assert len(first) == 2
    losses = recipes.emoji(tmp_path / "killed", **STEPS)
    assert losses[:2] == first
    shutil.copytree(tmp_path / "killed/tokenizer", tmp_path / "whole/tokenizer")  # trained anew it may number otherwise
    assert losses == pytest.approx(recipes.emoji(tmp_path / "whole", **STEPS), rel=1e-4)


@pytest.mark.slow
def test_words_do_not_go_on_with_another_autoencoder(tmp_path, few_emoji, monkeypatch):
    """Trained on or trained anew, it would give other latents; what is there is left as it was."""
    interrupted(tmp_path, monkeypatch)
    before = {name: (tmp_path / name).read_bytes() for name in ("autoencoder.pt", "words.pt")}
    with pytest.raises(ValueError, match=r"words\.pt was trained on an autoencoder of 2 steps, and .* is 3 now"):
        recipes.emoji(tmp_path, **(STEPS | {"picture_steps": 3}))
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    state = torch.load(tmp_path / "autoencoder.pt", weights_only=True)
    state["average"]["parts.quant_conv.bias"] += 0.1
    torch.save(state, tmp_path / "autoencoder.pt")
    with pytest.raises(ValueError, match=r"words\.pt was not trained on the latents of .*autoencoder\.pt"):
        recipes.emoji(tmp_path, **STEPS)
    (tmp_path / "words.pt").unlink()
    assert len(recipes.emoji(tmp_path, **(STEPS | {"picture_steps": 3}))) == 4
