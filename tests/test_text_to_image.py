"""text_to_image: the parts fit together, the tokenizer keeps words whole, the model learns from what it is told."""

import pytest
import torch

import labkit
from labkit.text_to_image import (
    LATENT,
    TOKENS,
    Reconstruction,
    autoencoder,
    autoencoder_loss,
    encode,
    kept_tokenizer,
    standardise,
    text_to_image,
    tokens_of,
    train_tokenizer,
)

CAPTIONS = ["red apple, noto", "green apple, twemoji", "smiling face with heart-eyes, noto"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CAPTIONS)


def test_every_word_of_the_captions_is_one_token(tokenizer):
    assert tokenizer.tokenize("green apple, noto") == ["green</w>", "apple</w>", ",</w>", "noto</w>"]
    assert len(tokenizer.tokenize("zebra")) > 1  # not known: in pieces, not lost


def test_a_tokenizer_is_trained_once_and_kept(tmp_path):
    """Trained anew it may number the same words otherwise, and a run that goes on would read other words."""
    first = kept_tokenizer(tmp_path / "tokenizer", CAPTIONS)
    again = kept_tokenizer(tmp_path / "tokenizer", ["other words"])
    assert again.get_vocab() == first.get_vocab()
    assert torch.equal(tokens_of(again, CAPTIONS), tokens_of(first, CAPTIONS))


def test_captions_become_numbers_of_one_length(tokenizer):
    tokens = tokens_of(tokenizer, ["", *CAPTIONS, "red " * 40])
    assert tokens.shape == (5, TOKENS)
    assert tokens.dtype == torch.int64
    assert tokens[0].tolist() == [0] + [1] * (TOKENS - 1)  # start, and then ends to fill it up
    assert tokens.max() < len(tokenizer)


def test_pixels_become_latents_and_pixels_again():
    parts = autoencoder().eval()
    with torch.no_grad():
        z = parts.encode(torch.zeros(2, 3, 64, 64)).latent_dist.mean
        assert z.shape == (2, *LATENT)
        assert parts.decode(z).sample.shape == (2, 3, 64, 64)


def test_the_network_answers_in_the_shape_of_z_and_listens_to_the_words(tokenizer):
    torch.manual_seed(0)
    model = text_to_image(len(tokenizer), labkit.NoiseSchedule.linear()).eval()
    z_t, tokens = torch.randn(2, *LATENT), tokens_of(tokenizer, CAPTIONS[:2])
    with torch.no_grad():
        one, other = model(z_t, 500, tokens), model(z_t, 500, tokens.flip(0))
        each = model(z_t, torch.tensor([500, 500]), tokens)
    assert one.shape == z_t.shape
    assert torch.equal(one, each)
    assert (one - other).abs().max() > 1e-4


def test_it_fits_into_the_repository(tokenizer):
    """14 MB in fp16 for all parts, with the vocabulary of all captions (3,211 tokens)."""
    parts = [autoencoder(), text_to_image(3211, labkit.NoiseSchedule.linear())]
    assert sum(weight.numel() for part in parts for weight in part.parameters()) * 2 < 13.7e6


def test_standardised_latents_have_mean_0_and_variance_1_and_the_pictures_stay():
    torch.manual_seed(0)
    parts, x = autoencoder().eval(), torch.rand(20, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = parts.encode(x).latent_dist
        picture = parts.decode(before.mean).sample
        standardise(parts, x)
        after = parts.encode(x).latent_dist
        assert encode(parts, x).mean((0, 2, 3)).abs().max() < 1e-3
        assert (encode(parts, x).std((0, 2, 3)) - 1).abs().max() < 1e-3
        torch.testing.assert_close(parts.decode(after.mean).sample, picture, atol=1e-3, rtol=1e-3)
        spread = (after.std / before.std).mean((0, 2, 3)) * before.mean.std((0, 2, 3))
        torch.testing.assert_close(spread, torch.ones(12), atol=1e-3, rtol=1e-3)  # the noise shrinks with the mean


def test_the_autoencoders_loss_is_0_for_a_perfect_copy_without_a_message():
    x = torch.rand(2, 3, 64, 64)

    class Perfect(torch.nn.Module):
        def forward(self, x, noise):
            assert noise.shape == (2, *LATENT)
            return x, torch.zeros_like(noise), torch.zeros_like(noise)

    assert autoencoder_loss(Perfect(), None, x, None, torch.randn(2, 3, 64, 64)) == 0
    assert autoencoder_loss(lambda x, noise: (x + 1, noise, 0 * noise), None, x, None, 0 * x) == pytest.approx(2)


@pytest.mark.slow
def test_train_teaches_the_autoencoder():
    torch.manual_seed(0)
    x, schedule = labkit.data.emoji()[0][:64], labkit.NoiseSchedule.linear()
    settings = {"batch_size": 16, "peak_rate": 2e-3, "loss": autoencoder_loss, "device": "cpu", "progress": False}
    _, losses = labkit.train(Reconstruction(autoencoder()), schedule, x, steps=15, **settings)
    assert losses[-1] < 0.7 * losses[0]
