"""Common result of all layout readers: photos with lens models and poses in the input frame."""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from splatpaint.capture.lens import Lens
from splatpaint.capture.names import shown
from splatpaint.errors import CaptureError
from splatpaint.image.files import image_size, upright_size

FARTHEST = 1e12
"""Greatest distance from the origin in input units; the Earth's radius is 6e9 mm. Double precision still tells a
ten-thousandth of a unit apart there."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo on disk, with lens and pose."""

    name: str
    """The path relative to the image folder without its suffix, `/` kept."""
    path: Path
    lens: Lens
    """For the size of the photo."""
    cam_from_world: Float[np.ndarray, "4 4"]
    """Rigid, OpenCV axes, input units; double precision because scenes may lie far from the origin."""
    ignore_mask: Path | None = None
    """Black = ignore, as in nerfstudio's `mask_path`."""
    upright: bool = False
    """Whether lens and pose are those of the photo once it is turned as its EXIF orientation says."""


@dataclass(frozen=True, eq=False)
class InputPoints:
    """Sparse points in the input frame, double precision."""

    positions: Float[np.ndarray, "n 3"]
    colors: UInt8[np.ndarray, "n 3"]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class PosedPhotos:
    """The content of a capture."""

    layout: str
    """Description of the layout, for messages."""
    image_folder: Path
    photos: tuple[Photo, ...]
    """The photos whose file exists, sorted by name."""
    points: InputPoints | None
    """Those that can be used; None if there are none."""
    listed: int
    """Number of photos that the layout lists, including missing files."""
    pictures: frozenset[str]
    """Names of all image files in the image folder, with or without a pose."""
    sources: tuple[Path, ...]
    """The files that were read, except photos and masks."""
    given: int = 0
    """Number of points that the capture brings, of use or not."""
    notes: tuple[str, ...] = ()
    """Problems and how they were handled, one sentence each."""


def common_folder(paths: list[Path]) -> Path:
    """The deepest folder that contains all files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def lens_for_file(lens: Lens, path: Path) -> tuple[Lens, bool]:
    """The lens for the size of the photo, which may be a resized version of the calibrated one; and whether that is the photo
    once it is turned upright, because only so it has the calibrated shape.

    Raises:
        CaptureError: if the lens is none that a camera can have, or the photo has another aspect ratio than the calibration.
    """
    if not lens.is_possible:
        raise CaptureError(
            f"the camera of {path.name} is impossible (size {lens.width:.6g}x{lens.height:.6g}, focal lengths {lens.fx:.6g},"
            f" {lens.fy:.6g}, center {lens.cx:.6g}, {lens.cy:.6g}, in pixels): solve the poses again, or remove the photo"
        )
    calibrated = (lens.width, lens.height)
    for size, upright in ((image_size(path), False), (upright_size(path), True)):
        if same_aspect(size, calibrated):
            return lens.rescaled(*size), upright
    width, height = image_size(path)
    raise CaptureError(
        f"{path.name} is {width}x{height} but its camera was calibrated for {lens.width}x{lens.height}: give the photos "
        "that the poses were computed from, or resized copies with the same aspect ratio"
    )


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether the aspect ratios agree within one percent, or within the rounding of one pixel."""
    (w, h), (W, H) = size, other
    return abs(w * H - h * W) <= max(0.01 * w * H, W, H)


def rigid(cam_from_world: np.ndarray, *, where: str) -> Float[np.ndarray, "4 4"]:
    """The pose with an exactly orthonormal rotation.

    Args:
        cam_from_world: 3x4 or 4x4; also a camera-to-world matrix can be checked.
        where: name of the frame in error messages, as in "frame 3 of transforms.json".

    Raises:
        CaptureError: if it holds NaN or infinity, or is not a rotation and a translation up to rounding.
    """
    pose = np.eye(4)
    pose[:3] = np.asarray(cam_from_world, dtype=np.float64)[:3, :4]
    if not (np.abs(pose) <= FARTHEST).all():
        raise CaptureError(
            f"{where} has a camera pose with NaN, infinite or absurd numbers (above {FARTHEST:g}): remove the frame or solve"
            " its pose again"
        )
    u, _, vt = np.linalg.svd(pose[:3, :3])
    rotation = u @ vt
    if np.linalg.det(rotation) < 0 or np.abs(pose[:3, :3] - rotation).max() > 1e-2:
        raise CaptureError(
            f"{where} has a camera pose that is not a rotation and a translation (scaled, sheared or mirrored axes): "
            "remove the frame or export its pose again"
        )
    pose[:3, :3] = rotation
    return pose


def inverted(pose: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """The inverse of a rigid transform."""
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse


def by_name(photos: list[Photo]) -> tuple[Photo, ...]:
    """The photos sorted by name.

    Raises:
        CaptureError: if two have the same name, or the name of a file is no text.
    """
    ordered = tuple(sorted(photos, key=lambda photo: photo.name))
    for photo in ordered:
        if shown(photo.name, cut=False) != photo.name:
            raise CaptureError(f"the file name {shown(photo.name)} is not UTF-8 text: rename the photo")
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise CaptureError(
                f"two photos are called {one.name!r} ({one.path} and {other.path}): rename or remove one of them"
            )
    return ordered
