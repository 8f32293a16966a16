import numpy as np
import pytest

from splatpaint.capture.posed import inverted, rigid, same_aspect
from splatpaint.errors import CaptureError
from tests.support.captures import shoot

SHOTS = shoot()


def test_a_nearly_rigid_pose_becomes_exactly_rigid():
    pose = SHOTS.cam_from_world[0].copy()
    pose[:3, :3] += np.random.default_rng(0).normal(size=(3, 3)) * 1e-4
    rotation = rigid(pose, where="here")[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation, pose[:3, :3], atol=1e-3)


@pytest.mark.parametrize("spoiled", [np.diag([1, 1, -1, 1]), np.diag([2, 2, 2, 1]), np.eye(4) + np.eye(4, k=1)])
def test_scaled_sheared_and_mirrored_poses_are_refused(spoiled):
    with pytest.raises(CaptureError, match=r"frame 7 .* not a rotation and a translation"):
        rigid(spoiled, where="frame 7")


def test_inverting_undoes_a_pose():
    np.testing.assert_allclose(inverted(SHOTS.cam_from_world[1]) @ SHOTS.cam_from_world[1], np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("size", "same"), [((504, 378), True), ((2016, 1512), True), ((63, 47), True), ((48, 64), False), ((64, 40), False)]
)
def test_aspects_are_compared_up_to_rounding(size, same):
    assert same_aspect(size, (1008, 756)) is same
