"""Reading of RGB-D videos in the layout of 7-Scenes: NAME.color.jpg or .png, NAME.pose.txt (4x4, camera to world, OpenCV axes)
and one camera-intrinsics.txt (3x3, pixels)."""

import json
from pathlib import Path

import numpy as np

from benchmarks.capture_writer import OPENGL_FROM_OPENCV
from splatpaint.image.files import read_image

INTRINSICS = "camera-intrinsics.txt"


def is_video_with_poses(folder: Path) -> bool:
    """Whether a folder has that layout."""
    return (folder / INTRINSICS).is_file()


def write_transforms(video: Path, folder: Path) -> Path:
    """Writes `folder`/transforms.json and links to the frames beside it, and returns the folder. Frames whose pose is not
    finite are left out."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    K = np.loadtxt(video / INTRINSICS)
    frames = []
    for pose in sorted(video.glob("*.pose.txt")):
        world_from_cam = np.loadtxt(pose)
        image = next(video.glob(f"{pose.name.removesuffix('.pose.txt')}.color.*"))
        if np.isfinite(world_from_cam).all():
            matrix = (world_from_cam @ OPENGL_FROM_OPENCV).tolist()
            link = folder / "images" / image.name
            link.unlink(missing_ok=True)
            link.symlink_to(image.resolve())
            frames.append({"file_path": f"images/{image.name}", "transform_matrix": matrix})
    _, height, width = read_image(folder / frames[0]["file_path"]).shape
    camera = {"w": width, "h": height, "fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    (folder / "transforms.json").write_text(json.dumps({"camera_model": "PINHOLE", **camera, "frames": frames}, indent=1))
    return folder
