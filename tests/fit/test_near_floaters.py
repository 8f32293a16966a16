import torch

from splatpaint.fit.near_floaters import NearFloaters
from splatpaint.scene.camera import Cameras

FIRST = Cameras(torch.tensor([[[50.0, 0, 50], [0, 50, 50], [0, 0, 1]]]), torch.eye(4)[None], width=100, height=100)
"""At the origin, looking along z, as far to every side as ahead."""


def behind(camera: Cameras, by: float) -> Cameras:
    pose = camera.cam_from_world.clone()
    pose[:, 2, 3] += by
    return Cameras(camera.K, pose, camera.width, camera.height)


def wall(depth: float, count: int = 400) -> torch.Tensor:
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    points[:, 2] = depth
    return points


def test_what_stands_right_before_a_camera_is_a_near_floater():
    floaters = NearFloaters([FIRST], wall(4.0), share=0.25)
    places = torch.tensor([[0.0, 0, 0.9], [0, 0, 1.1], [0, 0, 4], [0, 0, -0.5], [2, 0, 0.9]])
    assert floaters.among(places).tolist() == [True, False, False, False, False], "nearer than a quarter, ahead, in the frame"


def test_one_camera_is_enough():
    cameras = [behind(FIRST, 4.0), FIRST]
    near = torch.tensor([[0.0, 0, 0.9]])
    assert not NearFloaters(cameras[:1], wall(4.0), share=0.25).among(near).any()
    assert NearFloaters(cameras, wall(4.0), share=0.25).among(near).all()


def test_a_stray_point_bounds_nothing():
    stray = torch.tensor([[0.0, 0, 0.1]])
    near = torch.tensor([[0.0, 0, 0.5]])
    assert NearFloaters([FIRST], torch.cat([wall(4.0), stray]), share=0.25).among(near).all()


def test_a_frame_without_points_has_no_floaters():
    aside = wall(4.0) + torch.tensor([100.0, 0, 0])
    assert not NearFloaters([FIRST], aside, share=0.25).among(torch.tensor([[0.0, 0, 0.001]])).any()
