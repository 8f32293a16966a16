"""Captures in the layout of LLFF, which SPIn-NeRF extends with masks: poses_bounds.npy beside images_N folders."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from splatpaint.capture.agreement import GivenPoints, usable_points
from splatpaint.capture.lens import Lens
from splatpaint.capture.listing import pictures_in
from splatpaint.capture.posed import InputPoints, Photo, PosedPhotos, by_name, inverted, lens_for_file, rigid
from splatpaint.capture.sparse_model import read_points
from splatpaint.errors import CaptureError
from splatpaint.reading import UnreadableError, understanding

POINT_FILES = ("sparse/0/points3D.bin", "sparse/0/points3D.txt", "sparse/points3D.bin", "points3D.bin", "points3D.txt")


def read_llff(root: Path) -> PosedPhotos:
    """The photos of a forward-facing capture, in the order of their names.

    Every row of poses_bounds.npy is a 3x5 matrix and the nearest and farthest depth. The matrix is camera-to-world with columns
    down, right, back, and then height, width and focal length of the photos used for calibration, which may be larger than the
    stored ones. Points of the COLMAP model are used if they fit the poses.

    Raises:
        CaptureError: if the file has another shape, or no image folder has as many photos as it has poses.
    """
    file = root / "poses_bounds.npy"
    rows = _rows(file)
    folder = _image_folder(root, len(rows))
    photos = []
    for number, (row, (name, path)) in enumerate(zip(rows, pictures_in(folder, deep=False).items(), strict=True), start=1):
        where = f"pose {number} of {file.name} ({path.name})"
        matrix = row[:15].reshape(3, 5)
        down, right, back, center, (height, width, focal) = matrix.T
        if not (np.isfinite([height, width, focal]).all() and min(height, width, focal) > 0):
            raise CaptureError(f"{where} has no usable image height, width and focal length ({height}, {width}, {focal} px)")
        world_from_cam = rigid(np.stack([right, down, -back, center], axis=1), where=where)
        focal, cx, cy = float(focal), float(width) / 2, float(height) / 2
        lens = Lens("PINHOLE", round(width), round(height), focal, focal, cx, cy)
        lens, upright = lens_for_file(lens, path)
        photos.append(Photo(name, path, lens, inverted(world_from_cam), upright=upright))
    ordered = by_name(photos)
    points_file = next((root / name for name in POINT_FILES if (root / name).is_file()), None)
    points, notes, given = None, [], None
    if points_file:
        stored = read_points(points_file)
        here = points_file.relative_to(root).as_posix()
        given = GivenPoints(here, InputPoints(stored.positions, stored.colors), stored.reliable)
        points, notes = usable_points(given, ordered)
    return PosedPhotos(
        layout=f"LLFF / SPIn-NeRF ({file.name} with {folder.name})",
        image_folder=folder,
        photos=ordered,
        points=points,
        given=len(given.points) if given else 0,
        listed=len(rows),
        pictures=frozenset(photo.name for photo in ordered),
        sources=(file, points_file) if points_file else (file,),
        notes=tuple(notes),
    )


def _rows(file: Path) -> Float[np.ndarray, "n 17"]:
    try:
        with understanding(), open(file, "rb") as content:
            version = np.lib.format.read_magic(content)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, by_column, kind = header[version](content)
            size = math.prod(shape) * kind.itemsize
            if kind.kind == "f" and size > file.stat().st_size:  # numpy would ask for the memory first
                raise UnreadableError(f"it has fewer than the {size} bytes that it names")
            rows = np.frombuffer(content.read(size), dtype=kind) if kind.kind == "f" else np.empty(0)
    except UnreadableError as error:
        raise CaptureError(f"{file} is not a numpy file ({error})") from error
    if len(shape) != 2 or shape[1] != 17 or kind.kind != "f" or len(rows) != math.prod(shape):
        raise CaptureError(f"{file} holds an array of shape {shape} and type {kind}, expected (photos, 17) numbers")
    return rows.reshape(shape, order="F" if by_column else "C").astype(np.float64)


def _image_folder(root: Path, poses: int) -> Path:
    """`images`, or else the images_N of the highest resolution, with as many images as poses."""
    reduced = [folder for folder in root.glob("images_*") if folder.is_dir() and folder.name[7:].isdigit()]
    folders = [root / "images", *sorted(reduced, key=lambda folder: int(folder.name[7:]))]
    counts = {folder: len(pictures_in(folder, deep=False)) for folder in folders if folder.is_dir()}
    for folder, count in counts.items():
        if count == poses:
            return folder
    found = ", ".join(f"{folder.name} has {count} images" for folder, count in counts.items()) or "there is no images folder"
    raise CaptureError(
        f"poses_bounds.npy in {root} lists {poses} poses but {found}: the photos must be exactly those that were solved, "
        "in the order of their names"
    )
