"""Captures with a COLMAP sparse model (binary or text) and a folder of photos."""

import signal
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from splatpaint.capture.colmap_sizes import check_sizes
from splatpaint.capture.lens import Lens
from splatpaint.capture.posed import InputPoints, Photo, PosedPhotos, by_name, lens_for_file, pictures_in, rigid
from splatpaint.errors import CaptureError

MODEL_FOLDERS = ("sparse", "colmap/sparse", "colmap", ".")
"""Folders that are searched for sparse models, with their numbered subfolders."""
IMAGE_FOLDERS = ("images", "input", "images_2", "images_4", "images_8", ".")
"""Folders that are searched for the photos; the first with the most photos is used."""
MODEL_PARTS = ("cameras", "images", "points3D", "frames", "rigs")
"""Files of a model; the first three are required."""
SUFFIXES = ("bin", "txt")
"""Formats of the files, in the order of preference."""
MIN_TRACK = 3
"""Minimum number of images per point; points with two are often wrong matches."""
MAX_ERROR_PX = 2.0
"""Maximum reprojection error of points; COLMAP's own filter is 4 px."""


def find_models(root: Path) -> list[Path]:
    """All folders with a sparse model that has cameras and images."""
    folders = [root / name for name in MODEL_FOLDERS]
    folders += [child for folder in folders[:-1] if folder.is_dir() for child in sorted(folder.iterdir()) if child.is_dir()]
    return [folder for folder in dict.fromkeys(folders) if any(_is_model(folder, suffix) for suffix in SUFFIXES)]


def read_colmap(root: Path) -> PosedPhotos:
    """The registered photos of the largest sparse model, with its points.

    Raises:
        CaptureError: if no model can be read, its photos are not found, or a camera model is not supported.
    """
    models = [(folder, _read(folder)) for folder in find_models(root)]
    if not models:
        raise CaptureError(f"{root} holds no sparse model with cameras and images")
    folder, model = max(models, key=lambda item: item[1].num_reg_images())
    registered = [image for image in model.images.values() if image.has_pose]
    image_folder = _image_folder(root, [image.name for image in registered])
    pictures = pictures_in(image_folder)
    here = folder.relative_to(root).as_posix()

    photos, missing = [], []
    for image in registered:
        name = Path(image.name).with_suffix("").as_posix()
        path = image_folder / image.name
        path = path if path.is_file() else pictures.get(name)
        if path is None:
            missing.append(image.name)
            continue
        where = f"image {image.name} of {here}"
        photos.append(
            Photo(
                name=name,
                path=path,
                lens=lens_for_file(_lens(model.cameras[image.camera_id], where=where), path),
                cam_from_world=rigid(image.cam_from_world().matrix(), where=where),
            )
        )
    notes = []
    if missing:
        notes.append(
            f"image {missing[0]} of the model {here} does not exist in {image_folder.name} "
            f"({len(missing)} of {len(registered)} are missing)"
        )
    if len(models) > 1:
        notes.append(f"{here} is used, the largest of {len(models)} sparse models; the others are left aside")
    suffix = next(suffix for suffix in SUFFIXES if _is_model(folder, suffix))
    return PosedPhotos(
        layout=f"COLMAP {'binary' if suffix == 'bin' else 'text'} model in {here}",
        image_folder=image_folder,
        photos=by_name(photos),
        points=points_of(model),
        listed=len(registered),
        pictures=frozenset(pictures_in(image_folder, deep=image_folder != root)),
        sources=tuple(path for part in MODEL_PARTS if (path := folder / f"{part}.{suffix}").is_file()),
        notes=tuple(notes),
    )


def import_pycolmap() -> ModuleType:
    """The pycolmap module.

    Its import installs a SIGTERM handler that prints a stack trace and ends the process; the previous handler is restored.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if threading.current_thread() is threading.main_thread():  # handlers can be set only in the main thread
        signal.signal(signal.SIGTERM, before)
    return pycolmap


def _is_model(folder: Path, suffix: str) -> bool:
    return all((folder / f"{part}.{suffix}").is_file() for part in MODEL_PARTS[:3])


def _read(folder: Path) -> Any:
    if _is_model(folder, "bin"):
        check_sizes(folder)
    try:
        return import_pycolmap().Reconstruction(folder)
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:  # MemoryError: a file truncated in its header
        raise CaptureError(f"the sparse model in {folder} cannot be read ({error})") from error


def _image_folder(root: Path, names: list[str]) -> Path:
    """The folder under which most of the listed photos lie, by name or by name without suffix."""
    stems = {Path(name).with_suffix("").as_posix() for name in names}
    folders = [root / name for name in IMAGE_FOLDERS if (root / name).is_dir()]
    matches = [len(stems & pictures_in(folder).keys()) for folder in folders]
    if not stems or max(matches) == 0:
        looked = ", ".join(folder.relative_to(root).as_posix() for folder in folders)
        example = min(names) if names else "any image"
        raise CaptureError(f"none of the photos of the sparse model (such as {example}) lies in {root} (looked in {looked})")
    return folders[int(np.argmax(matches))]


def _lens(camera: Any, *, where: str) -> Lens:
    model = camera.model.name
    common = {"model": model, "width": camera.width, "height": camera.height}
    match model, [float(value) for value in camera.params]:
        case "SIMPLE_PINHOLE", [f, cx, cy]:
            return Lens(**common, fx=f, fy=f, cx=cx, cy=cy)
        case "PINHOLE", [fx, fy, cx, cy]:
            return Lens(**common, fx=fx, fy=fy, cx=cx, cy=cy)
        case "SIMPLE_RADIAL" | "RADIAL", [f, cx, cy, *radial]:
            return Lens(**common, fx=f, fy=f, cx=cx, cy=cy, radial=tuple(radial))
        case "OPENCV", [fx, fy, cx, cy, k1, k2, p1, p2]:
            return Lens(**common, fx=fx, fy=fy, cx=cx, cy=cy, radial=(k1, k2), tangential=(p1, p2))
        case "FULL_OPENCV", [fx, fy, cx, cy, k1, k2, p1, p2, k3, *divisor]:
            return Lens(**common, fx=fx, fy=fy, cx=cx, cy=cy, radial=(k1, k2, k3), tangential=(p1, p2), divisor=tuple(divisor))
        case "SIMPLE_RADIAL_FISHEYE" | "RADIAL_FISHEYE", [f, cx, cy, *radial]:
            return Lens(**common, fx=f, fy=f, cx=cx, cy=cy, radial=tuple(radial), fisheye=True)
        case "OPENCV_FISHEYE", [fx, fy, cx, cy, *radial]:
            return Lens(**common, fx=fx, fy=fy, cx=cx, cy=cy, radial=tuple(radial), fisheye=True)
    raise CaptureError(f"{where} has the camera model {model}, which is not supported: run `colmap image_undistorter` first")


def points_of(model: Any) -> InputPoints | None:
    """The points of a reconstruction with enough images and a small reprojection error; None if there are none."""
    points = [point for point in model.points3D.values() if point.track.length() >= MIN_TRACK and point.error <= MAX_ERROR_PX]
    if not points:
        return None
    return InputPoints(
        np.array([point.xyz for point in points], dtype=np.float64), np.array([point.color for point in points], dtype=np.uint8)
    )
