import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.cover import Ball, _plane, draw, find_spot, make_cover, upright
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.capture.synthetic import make_room
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.views import Capture

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    folder = tmp_path_factory.mktemp("room")
    make_room(folder, views=8, size=(120, 90))
    return drain(prepare(folder, CaptureConfig(), cache=folder / "cache"))


def camera(distance: float, pixels: int = 64) -> Cameras:
    K = torch.tensor([[[pixels, 0, pixels / 2], [0, pixels, pixels / 2], [0, 0, 1.0]]])
    eye = torch.tensor([[0.0, -distance, 0.0]])
    return Cameras(K, look_at(eye, torch.zeros(1, 3), UP), width=pixels, height=pixels)


def test_a_centered_ball_covers_the_disc_of_its_silhouette():
    _, coverage = draw(Ball(torch.zeros(3), 0.5, UP), camera(2.0))
    radius_px = 64 * 0.5 / math.sqrt(2.0**2 - 0.5**2)
    assert coverage.sum().item() == pytest.approx(math.pi * radius_px**2, rel=0.01)
    assert set(coverage.unique().tolist()) <= {k / 16 for k in range(17)}


def test_a_ball_behind_the_camera_is_not_drawn():
    assert not draw(Ball(torch.tensor([0.0, -5.0, 0.0]), 0.5, UP), camera(2.0))[1].any()


def test_a_ball_half_outside_the_picture_is_cut_at_its_border():
    inside = draw(Ball(torch.tensor([-1.0, 0.0, 0.0]), 0.2, UP), camera(2.0))[1]
    assert 0 < inside.sum() < 0.6 * draw(Ball(torch.zeros(3), 0.2, UP), camera(2.0))[1].sum()
    assert inside[..., 0].any()


def test_a_plane_is_found_among_stray_points():
    points = torch.rand(200, 3) * torch.tensor([1.0, 1.0, 0.005])
    points[:50, 2] += torch.rand(50)
    _, normal = _plane(points)
    assert abs(normal[2].item()) > 0.999


def test_the_ball_rests_on_level_ground_clear_of_things(room: Capture):
    ball = find_spot(room)
    assert room.points is not None
    up = torch.nn.functional.normalize(ball.up, dim=0)
    assert up @ UP > 0.95
    inside = (room.points.positions - ball.center).norm(dim=1) < 0.9 * ball.radius
    assert not inside.any()


def test_only_the_masked_pixels_change(room: Capture, tmp_path: Path):
    make_cover(room, tmp_path)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert len(names) >= 6
    for name in names:
        image, truth = (read_image(tmp_path / kind / name) for kind in ("images", "truth"))
        mask = read_mask(tmp_path / "masks" / name)[0] > 0.5
        assert torch.equal(image[:, ~mask], truth[:, ~mask])
        assert not torch.equal(image, truth)


def test_no_point_of_the_covered_capture_lies_behind_the_ball_in_every_view(room: Capture, tmp_path: Path):
    ball = make_cover(room, tmp_path / "cover")
    covered = drain(prepare(tmp_path / "cover", CaptureConfig(), cache=tmp_path / "cache"))
    assert covered.points is not None
    world = covered.world_from_input
    center, radius = world.apply(ball.center[None])[0], ball.radius * world.scale
    distance = (covered.points.positions - center).norm(dim=1)
    assert (distance > 0.99 * radius).all()
    assert ((distance - radius).abs() < 1e-3 * radius).sum() > 100


def test_a_badly_solved_view_is_left_out(room: Capture):
    crooked = room.views[3]
    turned = crooked.camera.cam_from_world.clone()
    turned[0, :2] *= -1
    views = (*room.views[:3], replace(crooked, camera=replace(crooked.camera, cam_from_world=turned)), *room.views[4:])
    assert [view.name for view in upright(replace(room, views=views)).views] == [v.name for v in room.views if v is not crooked]
