"""Reading of COLMAP's sparse models, binary or text: cameras, posed images and points.

Poses are those of the images file, as everybody else reads them; a frames file beside it may be older than that. Text is read
as it comes: with or without a byte order mark, with any ends of lines, with or without the line of observations that follows
an image, and with names that hold spaces.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from splatpaint.errors import CaptureError

PARTS = ("cameras", "images", "points3D")
"""Files of a model; the last one may be missing."""
SUFFIXES = ("bin", "txt")
"""Formats of the files, in the order of preference."""
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}
"""COLMAP's number, name and number of parameters (src/colmap/sensor/models.h)."""
MIN_TRACK = 3
"""Minimum number of images per point; points with two are often wrong matches."""
MAX_ERROR_PX = 2.0
"""Maximum reprojection error of points; COLMAP's own filter is 4 px."""
KEYPOINT = np.dtype([("pixel", "<f8", 2), ("point", "<i8")])
NO_KEYPOINTS = np.empty((0, 3))

Content = TypeVar("Content")
Rows = Float[np.ndarray, "n 9"]
"""Number, x, y, z, red, green, blue, reprojection error and track length of every point."""


@dataclass(frozen=True)
class ModelCamera:
    """A camera of a model."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ModelImage:
    """An image of a model with its keypoints."""

    name: str
    camera_id: int
    quaternion: Float[np.ndarray, "4"]
    """wxyz, camera from world."""
    translation: Float[np.ndarray, "3"]
    keypoints: Float[np.ndarray, "k 2"]
    """Pixels of the calibrated size, pixel centers at .5."""
    point_ids: Int[np.ndarray, " k"]
    """Of the point that each keypoint shows; -1 = none."""


@dataclass(frozen=True, eq=False)
class ModelPoints:
    """The points of a model."""

    ids: Int[np.ndarray, " n"]
    positions: Float[np.ndarray, "n 3"]
    colors: UInt8[np.ndarray, "n 3"]
    errors: Float[np.ndarray, " n"]
    """Mean reprojection error in pixels; negative = not computed."""
    tracks: Int[np.ndarray, " n"]
    """Number of images that each was matched in."""

    @property
    def reliable(self) -> Bool[np.ndarray, " n"]:
        """Those that enough images agree on with a small reprojection error (or one that was not computed)."""
        return (self.tracks >= MIN_TRACK) & ~(self.errors > MAX_ERROR_PX)


@dataclass(frozen=True, eq=False)
class SparseModel:
    """A sparse model."""

    cameras: dict[int, ModelCamera]
    images: list[ModelImage]
    points: ModelPoints | None
    """None if there is no such file."""
    files: tuple[Path, ...]
    """The files that were read."""


def model_suffix(folder: Path) -> str | None:
    """The format of the model in a folder; None if it holds none."""
    return next((s for s in SUFFIXES if all((folder / f"{part}.{s}").is_file() for part in PARTS[:2])), None)


def read_model(folder: Path) -> SparseModel:
    """The model in a folder.

    Raises:
        CaptureError: if a file of it is damaged or is no such file.
    """
    suffix = model_suffix(folder)
    if suffix is None:
        raise CaptureError(f"{folder} holds no sparse model with cameras and images")
    cameras, images, points = (folder / f"{part}.{suffix}" for part in PARTS)
    return SparseModel(
        cameras=_read(cameras, _binary_cameras, _text_cameras),
        images=_read(images, _binary_images, _text_images),
        points=read_points(points) if points.is_file() else None,
        files=tuple(file for file in (cameras, images, points) if file.is_file()),
    )


def read_points(file: Path) -> ModelPoints:
    """The points of a points3D file.

    Raises:
        CaptureError: if it is damaged or is no such file.
    """
    rows = _read(file, _binary_points, _text_points)
    return ModelPoints(
        ids=rows[:, 0].astype(np.int64),
        positions=rows[:, 1:4],
        colors=rows[:, 4:7].clip(0, 255).astype(np.uint8),
        errors=rows[:, 7],
        tracks=rows[:, 8].astype(np.int64),
    )


def _read(file: Path, binary: Callable[[bytes], Content], text: Callable[[list[str]], Content]) -> Content:
    try:
        if file.suffix == ".bin":
            return binary(file.read_bytes())
        return text(file.read_text(encoding="utf-8-sig").split("\n"))
    except UnicodeDecodeError as error:
        near = error.object[max(error.start - 20, 0) : error.end + 20].decode("latin-1")
        reason = f"it is not UTF-8 text near {near!r}: save it as UTF-8"
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        reason = f"{error}: export the model again"
    raise CaptureError(f"the sparse model in {file.parent} cannot be read ({file.name}: {reason})")


def _binary_cameras(data: bytes) -> dict[int, ModelCamera]:
    cameras, at = {}, 8
    for _ in range(*struct.unpack_from("<Q", data)):
        number, model, width, height = struct.unpack_from("<IiQQ", data, at)
        if model not in CAMERA_MODELS:
            raise ValueError(f"camera {number} is of the unknown model {model}")
        name, count = CAMERA_MODELS[model]
        cameras[number] = ModelCamera(name, width, height, struct.unpack_from(f"<{count}d", data, at + 24))
        at += 24 + 8 * count
    return cameras


def _binary_images(data: bytes) -> list[ModelImage]:
    images, at = [], 8
    for _ in range(*struct.unpack_from("<Q", data)):
        _, *pose, camera_id = struct.unpack_from("<I7dI", data, at)
        end = data.index(b"\0", at + 64)
        (count,) = struct.unpack_from("<Q", data, end + 1)
        # an image of millions of keypoints that the file does not hold: frombuffer refuses before memory is taken
        keypoints = np.frombuffer(data, dtype=KEYPOINT, count=count, offset=end + 9)
        images.append(_image(data[at + 64 : end].decode(), camera_id, pose, keypoints["pixel"], keypoints["point"]))
        at = end + 9 + 24 * count
    return images


def _binary_points(data: bytes) -> Rows:
    (count,) = struct.unpack_from("<Q", data)
    head = struct.Struct("<Q3d3BdQ")
    if count * head.size > len(data):
        raise ValueError(f"it is cut off, or no such file: {len(data)} bytes cannot hold {count} points")
    rows, at = np.empty((count, 9)), 8
    for row in rows:
        row[:] = head.unpack_from(data, at)
        at += head.size + 8 * int(row[-1])
    if at > len(data):
        raise ValueError("it is cut off in its last point")
    return rows


def _text_cameras(lines: list[str]) -> dict[int, ModelCamera]:
    cameras = {}
    for line in _rows(lines):
        number, model, width, height, *params = line.split()
        expected = next((count for name, count in CAMERA_MODELS.values() if name == model), len(params))
        if len(params) != expected:
            raise ValueError(f"camera {number} has {len(params)} parameters, {model} has {expected}")
        cameras[int(number)] = ModelCamera(model, int(width), int(height), tuple(map(float, params)))
    return cameras


def _text_images(lines: list[str]) -> list[ModelImage]:
    images = []
    rows = deque(line for line in lines if not line.startswith("#"))
    while rows:
        line = rows.popleft()
        if not line.strip():
            continue
        if len(words := line.split(maxsplit=9)) < 10 or not words[0].isdecimal():
            raise ValueError(f"{line[:60]!r} is no line of an image")
        _, *pose, camera_id, name = words
        keypoints = _keypoints(rows[0]) if rows else NO_KEYPOINTS
        if keypoints is None:  # the line is that of the next image
            keypoints = NO_KEYPOINTS
        elif rows:
            rows.popleft()
        pixels, points = keypoints[:, :2], keypoints[:, 2].astype(np.int64)
        images.append(_image(name.strip(), int(camera_id), [*map(float, pose)], pixels, points))
    return images


def _keypoints(line: str) -> Float[np.ndarray, "k 3"] | None:
    """The observations (x, y, number of the point) of an image; None if the line is something else."""
    words = line.split()
    if len(words) % 3:
        return None
    try:
        return np.array(words, dtype=np.float64).reshape(-1, 3)
    except ValueError:
        return None


def _text_points(lines: list[str]) -> Rows:
    rows = [line.split() for line in _rows(lines)]
    return np.array([[*map(float, row[:8]), (len(row) - 8) // 2] for row in rows], dtype=np.float64).reshape(-1, 9)


def _rows(lines: list[str]) -> Iterator[str]:
    return (line for line in lines if line.strip() and not line.startswith("#"))


def _image(
    name: str, camera_id: int, pose: Sequence[float], keypoints: Float[np.ndarray, "k 2"], point_ids: Int[np.ndarray, " k"]
) -> ModelImage:
    return ModelImage(name, camera_id, np.array(pose[:4]), np.array(pose[4:7]), keypoints, point_ids)
