"""Writing of synthetic captures in the layout of transforms.json."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.files import write_image, write_mask
from splatpaint.scene.camera import Cameras
from splatpaint.scene.views import PointCloud

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL cameras have y up and look along -z."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image to be written."""

    name: str
    """May contain `/`."""
    camera: Cameras
    """A batch of one, of the size of the image."""
    image: Float[Tensor, "3 h w"]
    fill_mask: Float[Tensor, "1 h w"] | None = None
    """1 = removed and filled."""


def write_capture(folder: Path, frames: Iterable[Frame], points: PointCloud) -> None:
    """Writes images/, masks/ (white = fill), points.ply and, last, transforms.json."""
    listed = []
    for frame in frames:
        write_image(folder / "images" / f"{frame.name}.png", frame.image)
        if frame.fill_mask is not None:
            write_mask(folder / "masks" / f"{frame.name}.png", frame.fill_mask)
        listed.append(_description(frame))
    write_points(folder / "points.ply", points)
    description = {"camera_model": "PINHOLE", "ply_file_path": "points.ply", "frames": listed}
    (folder / "transforms.json").write_text(json.dumps(description, indent=1))


def write_points(path: Path, points: PointCloud) -> None:
    """Writes a colored point cloud as a binary .ply."""
    from plyfile import PlyData, PlyElement

    fields = [(axis, "f4") for axis in "xyz"] + [(channel, "u1") for channel in ("red", "green", "blue")]
    rows = np.empty(len(points), dtype=fields)
    for index, (name, _) in enumerate(fields):
        source = points.positions if index < 3 else points.colors
        rows[name] = source[:, index % 3].cpu().numpy()
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(path))


def _description(frame: Frame) -> dict:
    K = frame.camera.K[0].double().cpu().numpy()
    world_from_cam = frame.camera.world_from_cam[0].double().cpu().numpy()
    return {
        "file_path": f"images/{frame.name}.png",
        "w": frame.camera.width,
        "h": frame.camera.height,
        "fl_x": K[0, 0],
        "fl_y": K[1, 1],
        "cx": K[0, 2],
        "cy": K[1, 2],
        "transform_matrix": (world_from_cam @ OPENGL_FROM_OPENCV).tolist(),
    }
