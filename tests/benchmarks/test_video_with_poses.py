from pathlib import Path

import numpy as np
import torch

from benchmarks.video_with_poses import is_video_with_poses, write_transforms
from splatpaint.capture.layout import read_layout
from splatpaint.image.files import write_image


def test_frames_have_their_poses_and_lost_ones_are_left_out(tmp_path: Path):
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[50, 0, 32], [0, 50, 24], [0, 0, 1]])
    pose = np.eye(4)
    for number, x in enumerate([0.0, 0.5, np.nan]):
        pose[0, 3] = x
        np.savetxt(tmp_path / f"frame-{number}.pose.txt", pose)
        write_image(tmp_path / f"frame-{number}.color.png", torch.zeros(3, 48, 64))
    assert is_video_with_poses(tmp_path)
    posed = read_layout(write_transforms(tmp_path, tmp_path / "made"))
    assert len(posed.photos) == 2
    centers = sorted(-(np.asarray(p.cam_from_world)[:3, :3].T @ np.asarray(p.cam_from_world)[:3, 3])[0] for p in posed.photos)
    assert np.allclose(centers, [0, 0.5])
    assert not is_video_with_poses(tmp_path / "made")
