"""quality: a small measurement of the bundled model is whole, ordered as it must be, and told in words."""

import json

import pytest

from labkit import quality


@pytest.mark.slow
def test_a_measurement_is_whole_and_in_order(tmp_path):
    result = quality.measure(count=quality.ENOUGH, steps=5)
    distance, limit, among = (result[key] for key in ("distance", "limit", "precision_recall"))
    assert distance["floor"][0] < distance["model"][0] < distance["noise"][0]
    assert all(limit[name][0] < distance[name][0] for name in distance), "endless images have no bias"
    assert abs(limit["floor"][0]) < 3 * limit["floor"][1]
    assert min(among["floor"]) > 0.75
    assert max(among["noise"]) < 0.05
    assert among["QDA"][0] < among["floor"][0]
    assert sum(result["class_shares"].values()) == pytest.approx(1)
    assert max(*result["memorised"], result["near_copies"]) < 0.1
    quality.save(result, tmp_path / "deep" / "quality.json")
    assert json.loads((tmp_path / "deep" / "quality.json").read_text("utf8")) == result
    words = quality.report(result)
    assert f"{quality.ENOUGH} images in 5 DDIM steps" in words
    assert "precision   recall" in words


@pytest.mark.slow
def test_few_images_have_a_distance_but_no_limit():
    result = quality.measure(count=3, steps=1)
    assert set(result["limit"].values()) == set(result["precision_recall"].values()) == {None}
    assert "too few" in quality.report(result)
