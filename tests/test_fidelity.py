"""fidelity: precision, recall, limits and copies where the answer is known, and against scipy and scikit-learn."""

import pytest
import torch
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from labkit import data, evaluate, fidelity, load_classifier


def normal(n: int, *size: int, seed: int) -> Tensor:
    """Standard normal numbers (n, ...), float64."""
    return torch.randn(n, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_precision_and_recall_of_five_numbers_by_hand():
    real = torch.tensor([[0.0], [1.0], [10.0]])  # nearest neighbours at 1, 1 and 9
    drawn = torch.tensor([[-0.9], [2.5], [19.5]])  # at 3.4, 3.4 and 17
    # -0.9 lies within 1 of 0 and 2.5 within 9 of 10; 0 and 1 lie within 3.4 of -0.9, and 10 within 17 of 19.5
    assert fidelity.precision_recall(drawn, real, k=1) == pytest.approx((2 / 3, 1))
    assert fidelity.precision_recall(real, drawn, k=1) == pytest.approx((1, 2 / 3))


@pytest.mark.parametrize(("size", "k"), [(2, 1), (2, 3), (20, 3), (64, 5)])
def test_precision_and_recall_agree_with_scipys_tree(size: int, k: int):
    drawn, real = 1.2 * normal(1500, size, seed=1) + 0.3, normal(1100, size, seed=2)

    def share(points: Tensor, members: Tensor) -> float:
        reach = KDTree(members).query(members, k=k + 1)[0][:, -1]
        return (cdist(points, members) <= reach).any(1).mean()

    assert fidelity.precision_recall(drawn, real, k) == (share(drawn, real), share(real, drawn))


@pytest.mark.parametrize(("size", "k"), [(2, 1), (20, 3), (64, 5)])
def test_precision_and_recall_agree_with_scikit_learn(size: int, k: int):
    neighbors = pytest.importorskip("sklearn.neighbors", reason="pip install scikit-learn: it is not compared with")
    drawn, real = 1.2 * normal(1500, size, seed=1) + 0.3, normal(1100, size, seed=2)

    def share(points: Tensor, members: Tensor) -> float:
        among = neighbors.NearestNeighbors(algorithm="brute").fit(members)
        reach = among.kneighbors(n_neighbors=k)[0][:, -1]  # without points: of the members, but for themselves
        distances, rows = among.kneighbors(points, n_neighbors=len(members))
        return (distances <= reach[rows]).any(1).mean()

    assert fidelity.precision_recall(drawn, real, k) == (share(drawn, real), share(real, drawn))


def test_the_nearest_and_the_ratio_agree_with_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors", reason="pip install scikit-learn: it is not compared with")
    images, training = normal(300, 1, 4, 4, seed=6), normal(500, 1, 4, 4, seed=7)
    among = neighbors.NearestNeighbors(n_neighbors=2, algorithm="brute").fit(training.flatten(1))
    distances, rows = map(torch.as_tensor, among.kneighbors(images.flatten(1)))
    found, index = evaluate.nearest(images, training)
    torch.testing.assert_close(found, distances[:, 0])
    assert torch.equal(index, rows[:, 0])
    torch.testing.assert_close(fidelity.nearest_ratio(images, training), distances[:, 0] / distances[:, 1])


def test_a_model_that_misses_half_of_the_modes_has_precision_and_half_the_recall():
    """Two heaps far apart, of which one is drawn; what is never seen costs precision."""
    heaps = torch.cat([normal(500, 4, seed=3), normal(500, 4, seed=4) + 50])
    precision, recall = fidelity.precision_recall(normal(1000, 4, seed=5), heaps)
    assert precision > 0.9
    assert 0.4 < recall <= 0.5
    precision, recall = fidelity.precision_recall(heaps, normal(1000, 4, seed=5))
    assert 0.4 < precision <= 0.5
    assert recall > 0.9


def test_the_bias_grows_with_the_number_of_parts():
    """For equal Gaussians the distance is bias alone, so cut in m parts it is m times as large, to 15 %."""
    runs = [fidelity.frechet_by_parts(normal(1000, 6, seed=i), normal(1000, 6, seed=100 + i)) for i in range(20)]
    mean = torch.stack(runs).mean(0)
    assert (mean / mean[0]).tolist() == pytest.approx([1, 2, 3, 4], rel=0.15)


@pytest.fixture(scope="module")
def limits() -> dict[str, Tensor]:
    """40 draws of 500 from each of two Gaussians in eight dimensions: the plain distance, the limit and its error."""
    spread = torch.tensor([1.3] * 4 + [1.0] * 4)
    rows = []
    for i in range(40):
        a, b = normal(500, 8, seed=i), spread * normal(500, 8, seed=1000 + i) + 0.2
        rows.append([evaluate.frechet_distance(a, b), *fidelity.frechet_limit(a, b)])
    return dict(zip(("plain", "limit", "error"), torch.tensor(rows).T, strict=True))


EXACT = 8 * 0.2**2 + 4 * 0.3**2  # the squared gaps of the means and of the standard deviations


def test_the_limit_is_the_closed_form_where_the_plain_distance_is_not(limits: dict[str, Tensor]):
    """In units of the standard error of the mean over 40 runs: within 3, and beyond 5."""
    off = {name: (limits[name].mean() - EXACT) / (limits["limit"].std() / 40**0.5) for name in ("plain", "limit")}
    assert abs(off["limit"]) < 3
    assert off["plain"] > 5


def test_the_limits_error_is_its_spread_over_new_draws(limits: dict[str, Tensor]):
    """To 50 %; it is on the safe side, and grows near distance 0."""
    assert 0.9 < limits["error"].mean() / limits["limit"].std() < 1.5


def test_the_ratio_between_two_references_is_exact():
    """From u on the way from 0 to 1 it is u / (1 - u), and so below 1/3 for one half of all u."""
    u = torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64)[:, None]
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    ratio = fidelity.nearest_ratio(u, ends)
    torch.testing.assert_close(ratio, torch.minimum(u / (1 - u), (1 - u) / u)[:, 0])
    assert fidelity.memorised(u, 0 * u + 0.4, ends) == (0.5, 0)


def test_the_ratio_agrees_with_scipys_tree():
    images, training = normal(300, 1, 4, 4, seed=6), normal(500, 1, 4, 4, seed=7)
    first, second = KDTree(training.flatten(1)).query(images.flatten(1), k=2)[0].T
    torch.testing.assert_close(fidelity.nearest_ratio(images, training), torch.as_tensor(first / second))


def test_a_reference_that_is_there_twice_is_no_division_by_zero():
    twice = torch.ones(2, 3)
    assert fidelity.nearest_ratio(torch.stack([twice[0], twice[0] + 1]), twice).tolist() == [1, 1]


def test_a_model_that_memorises_a_quarter_is_caught():
    training, honest, held_out = (normal(400, 1, 5, 5, seed=seed) for seed in (8, 9, 10))
    copies = training[:100] + 0.01 * normal(100, 1, 5, 5, seed=11)
    assert fidelity.memorised(torch.cat([copies, honest[:300]]), held_out, training) == (0.25, 0)


def test_real_images_beside_real_images():
    """Two lots of clothes: nearly all among each other, no distance in the limit, few alike by chance."""
    images, classifier = data.fashion_mnist("test")[0], load_classifier()
    seen, real = (evaluate.features(classifier, lot) for lot in images[:2000].split(1000))
    assert min(fidelity.precision_recall(seen, real)) > 0.8
    limit, error = fidelity.frechet_limit(seen, real, parts=3)
    assert evaluate.frechet_distance(seen, real) > 0.05
    assert abs(limit) < 2 * error
    copied, by_chance = fidelity.memorised(images[:100], images[-100:], images[:3000])
    assert copied == 1
    assert by_chance < 0.05


@pytest.mark.parametrize(("drawn", "real"), [((3, 2), (9, 2)), ((9, 2), (9, 3)), ((9,), (9, 2)), ((0, 2), (9, 2))])
def test_shapes_without_precision_are_refused(drawn: tuple[int, ...], real: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"features have shapes .*give \(N, D\) and \(M, D\) with N and M above 3"):
        fidelity.precision_recall(torch.zeros(drawn), torch.zeros(real))


def test_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match="k=0; give 1 or more"):
        fidelity.precision_recall(torch.zeros(9, 2), torch.zeros(9, 2), k=0)
    with pytest.raises(ValueError, match="parts=1; a line needs 2 or more"):
        fidelity.frechet_limit(torch.zeros(9, 2), torch.zeros(9, 2), parts=1)
    with pytest.raises(ValueError, match="N and M above 9"):
        fidelity.frechet_limit(torch.zeros(9, 2), torch.zeros(19, 2))
    fidelity.frechet_limit(normal(10, 2, seed=1), normal(10, 2, seed=2))
    with pytest.raises(ValueError, match="N and M above 8"):
        fidelity.frechet_by_parts(torch.zeros(8, 2), torch.zeros(9, 2))
    with pytest.raises(ValueError, match="N and M above 1"):
        fidelity.nearest_ratio(torch.zeros(9, 1, 2, 2), torch.zeros(1, 1, 2, 2))
