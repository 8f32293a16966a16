import pytest
import torch

from splatpaint.scene.neighbors import nearest_distances


def test_distances_are_those_of_all_pairs_sorted():
    points = torch.randn(50, 3)
    pairs = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    expected = pairs.sort(dim=1).values[:, 1:5]
    torch.testing.assert_close(nearest_distances(points, 4), expected.float())


def test_grid_points_are_one_step_from_their_neighbors():
    points = torch.cartesian_prod(*[torch.arange(4.0) * 0.25] * 3)
    torch.testing.assert_close(nearest_distances(points, 3), torch.full((64, 3), 0.25))


def test_coincident_points_are_neighbors_at_distance_zero():
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 4.0]])
    torch.testing.assert_close(nearest_distances(points, 2), torch.tensor([[0.0, 5.0], [0.0, 5.0], [5.0, 5.0]]))


@pytest.mark.parametrize(
    ("count", "k", "message"), [(3, 3, "at least 4 points"), (0, 1, "at least 2 points"), (3, 0, "k is 0")]
)
def test_asking_for_neighbors_that_do_not_exist_is_refused(count: int, k: int, message: str):
    with pytest.raises(ValueError, match=message):
        nearest_distances(torch.zeros(count, 3), k)


def test_a_coordinate_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        nearest_distances(torch.tensor([[0.0, 0.0, 0.0], [1.0, float("nan"), 0.0], [2.0, 0.0, 0.0]]), 1)
