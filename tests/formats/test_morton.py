import pytest
import torch

from splatpaint.formats.morton import morton_order


def test_corners_come_in_the_order_of_their_bits():
    corners = torch.tensor([[x, y, z] for z in (0.0, 1) for y in (0.0, 1) for x in (0.0, 1)])
    shuffled = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(corners[shuffled][morton_order(corners[shuffled])], corners)


def test_neighbors_in_the_order_are_neighbors_in_space():
    points = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0))
    steps = points[morton_order(points)].diff(dim=0).norm(dim=1)
    assert steps.mean() < 0.15 * points.diff(dim=0).norm(dim=1).mean()


@pytest.mark.parametrize("points", [torch.zeros(0, 3), torch.ones(5, 3), torch.tensor([[0.0, 1e30, 0], [0, -1e30, 0]])])
def test_any_points_have_an_order(points: torch.Tensor):
    assert sorted(morton_order(points).tolist()) == list(range(len(points)))
