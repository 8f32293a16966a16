"""Reading of point clouds in .ply files."""

from pathlib import Path

import numpy as np

from splatpaint.capture.posed import InputPoints
from splatpaint.errors import CaptureError


def read_ply_points(file: Path) -> InputPoints:
    """The vertices of a .ply with their colors (gray if it has none).

    Raises:
        CaptureError: if it is not a point cloud.
    """
    from plyfile import PlyData, PlyParseError

    try:
        vertices = PlyData.read(str(file))["vertex"]
        positions = np.stack([np.asarray(vertices[axis], dtype=np.float64) for axis in "xyz"], axis=1)
    except (PlyParseError, KeyError, ValueError) as error:
        raise CaptureError(f"{file} is not a .ply with points ({error})") from error
    names = {field.name for field in vertices.properties}
    if {"red", "green", "blue"} <= names:
        colors = np.stack([np.asarray(vertices[channel]) for channel in ("red", "green", "blue")], axis=1).astype(np.uint8)
    else:
        colors = np.full((len(positions), 3), 128, dtype=np.uint8)
    return InputPoints(positions, colors)
