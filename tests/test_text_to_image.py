"""text_to_image: the parts fit together, the tokenizer keeps words whole, the model learns from what it is told."""

import pytest
import torch

import labkit
from labkit.text_to_image import LATENT, TOKENS, autoencoder, text_to_image, tokens_of, train_tokenizer

CAPTIONS = ["red apple, noto", "green apple, twemoji", "smiling face with heart-eyes, noto"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CAPTIONS)


def test_every_word_of_the_captions_is_one_token(tokenizer):
    assert tokenizer.tokenize("green apple, noto") == ["green</w>", "apple</w>", ",</w>", "noto</w>"]
    assert len(tokenizer.tokenize("zebra")) > 1  # not known: in pieces, not lost


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
