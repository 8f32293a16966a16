"""Captures with a COLMAP sparse model (binary or text) and a folder of photos."""

from functools import partial
from pathlib import Path

import numpy as np

from splatpaint.capture.agreement import GivenPoints, Observed, usable_points
from splatpaint.capture.lens import Lens
from splatpaint.capture.listing import picture_files, pictures_in
from splatpaint.capture.names import Named, find, shown
from splatpaint.capture.point_cloud import read_ply_points
from splatpaint.capture.posed import InputPoints, Photo, PosedPhotos, by_name, common_folder, lens_for_file, rigid
from splatpaint.capture.sparse_model import ModelCamera, ModelImage, SparseModel, model_suffix, read_model
from splatpaint.errors import CaptureError

MODEL_FOLDERS = ("sparse", "colmap/sparse", "colmap", ".")
"""Folders that are searched for sparse models, with their numbered subfolders."""
POINTS_PLY = "points3D.ply"
"""Points of a model that has no points3D.bin or .txt, or an empty one."""
IMAGE_FOLDERS = ("images", "input", "images_2", "images_4", "images_8", ".")
"""Folders that are searched for the photos; the first with the most photos is used."""


def find_models(root: Path) -> list[Path]:
    """All folders with a sparse model that has cameras and images."""
    folders = [root / name for name in MODEL_FOLDERS]
    folders += [child for folder in folders[:-1] if folder.is_dir() for child in sorted(folder.iterdir()) if child.is_dir()]
    return [folder for folder in dict.fromkeys(folders) if model_suffix(folder)]


def read_colmap(root: Path) -> PosedPhotos:
    """The posed photos of the largest sparse model, with its points.

    Raises:
        CaptureError: if no model can be read, its photos are not found, or a camera model is not supported.
    """
    folder, model, notes = _largest(root)
    here = folder.relative_to(root).as_posix()
    posed = [image for image in model.images if image.quaternion.any()]
    if len(posed) < len(model.images):
        example = next(image.name for image in model.images if not image.quaternion.any())
        notes.append(
            f"{len(model.images) - len(posed)} of {len(model.images)} images of {here} have no pose but a quaternion of zeros "
            f"(such as {shown(example)}) and are left out"
        )
    named, image_folder = _photo_files(root, [image.name for image in posed])
    notes += named.said(f"the model {here}", root)
    missing = [image.name for image in posed if image.name not in named.files]
    if missing:
        notes.append(
            f"the model {here} lists {named.why_missing(missing[0])} ({len(missing)} of {len(posed)} photos are missing)"
        )
    photos = []
    for image in posed:
        where = f"image {shown(image.name)} of {here}"
        if path := named.files.get(image.name):
            if image.camera_id not in model.cameras:
                raise CaptureError(f"{where} has the camera {image.camera_id}, which the model lacks: export the model again")
            lens, upright = lens_for_file(_lens(model.cameras[image.camera_id], where=where), path)
            name = path.relative_to(image_folder).with_suffix("").as_posix()
            photos.append(Photo(name, path, lens, rigid(_matrix(image), where=where), upright=upright))
    ordered = by_name(photos)
    given = _given(folder, model, posed, named, ordered)
    points, said = usable_points(given, ordered) if given else (None, [])
    return PosedPhotos(
        layout=f"COLMAP {'binary' if model_suffix(folder) == 'bin' else 'text'} model in {here}",
        image_folder=image_folder,
        photos=ordered,
        points=points,
        given=len(given.points) if given else 0,
        listed=len(posed),
        pictures=frozenset(pictures_in(image_folder, deep=image_folder != root)),
        sources=(*model.files, *(path for path in [folder / POINTS_PLY] if path.is_file())),
        notes=(*notes, *said),
    )


def _largest(root: Path) -> tuple[Path, SparseModel, list[str]]:
    """The model with the most images, its folder, and notes on the others. Broken ones do not count if another can be read."""
    models: dict[Path, SparseModel] = {}
    broken: dict[Path, CaptureError] = {}
    for folder in find_models(root):
        try:
            models[folder] = read_model(folder)
        except CaptureError as error:
            broken[folder] = error
    if not models:
        raise next(iter(broken.values()), CaptureError(f"{root} holds no sparse model with cameras and images"))
    folder = max(models, key=lambda each: len(models[each].images))
    notes = [f"{error}; it is left aside" for error in broken.values()]
    if len(models) > 1:
        here = folder.relative_to(root).as_posix()
        notes.append(f"{here} is used, the largest of {len(models)} sparse models; the others are left aside")
    return folder, models[folder], notes


def _photo_files(root: Path, names: list[str]) -> tuple[Named, Path]:
    """The files of the listed photos, and the folder under which most of them lie."""
    folders = [root / name for name in IMAGE_FOLDERS if (root / name).is_dir()]
    found = [find(names, folder, partial(picture_files, folder)) for folder in folders]
    best = max(range(len(found)), key=lambda index: len(found[index].files))
    if not found[best].files:
        looked = ", ".join(folder.relative_to(root).as_posix() for folder in folders)
        example = min(names) if names else "any image"
        raise CaptureError(
            f"none of the photos of the sparse model lies in {root} (looked in {looked}): it lists "
            f"{found[0].why_missing(example)}"
        )
    return found[best], common_folder(list(found[best].files.values())) if folders[best] == root else folders[best]


def _matrix(image: ModelImage) -> np.ndarray:
    """`cam_from_world` of an image, 3x4."""
    w, x, y, z = image.quaternion / np.linalg.norm(image.quaternion)
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.concatenate([np.array(rotation), image.translation[:, None]], axis=1)


def _lens(camera: ModelCamera, *, where: str) -> Lens:
    common = {"model": camera.model, "width": camera.width, "height": camera.height}
    match camera.model, camera.params:
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
    raise CaptureError(
        f"{where} has the camera model {camera.model}, which is not supported: run `colmap image_undistorter` first"
    )


def _given(
    folder: Path, model: SparseModel, posed: list[ModelImage], named: Named, photos: tuple[Photo, ...]
) -> GivenPoints | None:
    """The points of the model with their observations, or those of a points3D.ply in their place; None without either."""
    if model.points is None or not len(model.points.ids):
        ply = folder / POINTS_PLY
        return GivenPoints(ply.name, read_ply_points(ply)) if ply.is_file() else None
    order = np.argsort(model.points.ids)
    ids = model.points.ids[order]
    by_path = {photo.path: photo for photo in photos}
    observed = []
    for image in posed:
        photo = by_path.get(named.files.get(image.name, folder))
        if photo is None:
            continue
        camera = model.cameras[image.camera_id]
        at = np.searchsorted(ids, image.point_ids).clip(max=len(ids) - 1)
        known = ids[at] == image.point_ids
        pixels = image.keypoints[known] * (photo.lens.width / camera.width, photo.lens.height / camera.height)
        observed.append(Observed(photo, order[at[known]], pixels))
    points = InputPoints(model.points.positions, model.points.colors)
    return GivenPoints(model.files[-1].name, points, model.points.reliable, observed)
