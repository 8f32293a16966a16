import math

import pytest
import torch

from benchmarks.meshes import RayCaster, ball, box, joined, revolved


def test_a_box_has_the_area_of_its_six_sides():
    torch.testing.assert_close(box((0, 0, 0), (1, 2, 3)).area, torch.tensor(22.0))


def test_a_cylinder_has_the_area_of_mantle_and_caps():
    cylinder = revolved([(0, 0), (1, 0), (1, 2), (0, 2)], center=(3, 4, 5), sides=512)
    assert cylinder.area.item() == pytest.approx(2 * math.pi * 2 + 2 * math.pi, rel=1e-3)


def test_a_ball_is_round():
    sphere = ball((1, 2, 3), 0.5)
    torch.testing.assert_close((sphere.vertices - torch.tensor([1.0, 2, 3])).norm(dim=1), torch.full((64 * 33,), 0.5))
    assert sphere.area.item() == pytest.approx(math.pi, rel=5e-3)


def test_joining_adds_areas():
    parts = [box((0, 0, 0), (1, 1, 1)), box((4, 4, 4), (6, 6, 6)), ball((0, 0, 9), 1)]
    torch.testing.assert_close(joined(parts).area, sum(part.area for part in parts))


@pytest.mark.parametrize("solid", [box((-1, -1, -1), (1, 1, 1)), ball((0, 0, 0), 1)])
def test_normals_point_outward(solid):
    directions = torch.nn.functional.normalize(torch.randn(50, 3), dim=1)
    hits = RayCaster([solid])(5 * directions, -directions)
    assert hits.hit.all()
    assert ((hits.normals * directions).sum(dim=1) > 0.5).all()


def test_rays_hit_the_nearest_mesh():
    caster = RayCaster([box((0, 0, 4), (1, 1, 5)), box((0, 0, 2), (1, 1, 3))])
    hits = caster(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([[0.0, 0, 2], [0, 0, -1]]))
    torch.testing.assert_close(hits.distance, torch.tensor([1.0, torch.inf]))
    assert hits.which.tolist() == [1, -1]
    torch.testing.assert_close(hits.points[0], torch.tensor([0.5, 0.5, 2.0]))
