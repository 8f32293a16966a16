import math

import torch

from splatpaint.scene.paths import between, shifted, turned_about
from tests.support.scenes import orbit

CAMERAS = orbit(8, width=16, height=12, focal=14.0)


def test_the_way_between_two_cameras_begins_and_ends_at_them():
    one, other = CAMERAS[0], CAMERAS[1]
    for share, end in ((0.0, one), (1.0, other)):
        torch.testing.assert_close(between(one, other, share).cam_from_world, end.cam_from_world, atol=1e-5, rtol=0)
    middle = between(one, other, 0.5)
    torch.testing.assert_close(middle.centers, (one.centers + other.centers) / 2)
    axes = [camera.world_from_cam[0, :3, :3] for camera in (one, middle, other)]
    angles = [((a.T @ b).trace().sub(1) / 2).clamp(-1, 1).acos() for a, b in ((axes[0], axes[1]), (axes[1], axes[2]))]
    torch.testing.assert_close(angles[0], angles[1], atol=1e-4, rtol=1e-3)


def test_a_camera_that_turns_about_a_point_sees_it_in_the_same_place():
    camera, point = CAMERAS[2], torch.tensor([0.1, -0.2, 0.3])
    pixel, depth = camera.project(point[None])
    for right, up in ((20.0, 0.0), (0.0, -15.0), (10.0, 5.0)):
        turned = turned_about(camera, point, right, up)
        torch.testing.assert_close(turned.project(point[None])[0], pixel, atol=1e-3, rtol=0)
        torch.testing.assert_close(turned.project(point[None])[1], depth, atol=1e-5, rtol=0)
    moved = (turned_about(camera, point, 20.0, 0.0).centers - camera.centers).norm()
    toward = camera.world_from_cam[0, :3, 1]
    radius = ((camera.centers - point) - ((camera.centers - point) @ toward)[:, None] * toward).norm()
    torch.testing.assert_close(moved, 2 * radius * math.sin(math.radians(10.0)), atol=1e-5, rtol=1e-4)


def test_turning_right_moves_the_camera_to_its_right():
    camera = CAMERAS[3]
    ahead = camera.centers[0] + camera.world_from_cam[0, :3, 2]
    moved = turned_about(camera, ahead, 10.0, 0.0).centers[0] - camera.centers[0]
    assert moved @ camera.world_from_cam[0, :3, 0] > 0.9 * moved.norm()
    raised = turned_about(camera, ahead, 0.0, 10.0).centers[0] - camera.centers[0]
    assert raised @ camera.world_from_cam[0, :3, 1] < -0.9 * raised.norm()


def test_a_shifted_camera_moves_along_its_own_axes():
    camera = CAMERAS[5]
    forward = shifted(camera, torch.tensor([0.0, 0.0, 0.25]))
    torch.testing.assert_close(forward.centers[0], camera.centers[0] + 0.25 * camera.world_from_cam[0, :3, 2])
    torch.testing.assert_close(forward.world_from_cam[:, :3, :3], camera.world_from_cam[:, :3, :3])
