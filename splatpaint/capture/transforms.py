"""Captures described by transforms.json, as instant-ngp, nerfstudio and many phone apps write it."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from splatpaint.capture.agreement import GivenPoints, usable_points
from splatpaint.capture.lens import Lens
from splatpaint.capture.listing import files_in, picture_files, pictures_in
from splatpaint.capture.names import Named, find
from splatpaint.capture.point_cloud import read_ply_points
from splatpaint.capture.posed import (
    Photo,
    PosedPhotos,
    by_name,
    common_folder,
    inverted,
    lens_for_file,
    rigid,
)
from splatpaint.errors import CaptureError
from splatpaint.image.files import image_size

NAMES = ("transforms.json", "transforms_train.json")
BESIDE_TRAINING = ("transforms_val.json", "transforms_test.json")
"""Files with more frames beside transforms_train.json."""
MODELS = (
    "OPENCV",
    "OPENCV_FISHEYE",
    "FULL_OPENCV",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
)
OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL cameras have y up and look along -z."""


def read_transforms(file: Path) -> PosedPhotos:
    """The photos that a transforms.json lists.

    Poses are camera-to-world with OpenGL axes; a frame's own intrinsics override those at the top; `camera_angle_x` serves
    where there is no focal length. The file's own world is the input frame, also when `applied_transform` says that it was
    made from another one: the points of `ply_file_path` live there, too.

    Raises:
        CaptureError: if the file is not such a description, or a pose, a size or a camera model in it cannot be used.
    """
    top = _description(file)
    others = [other for name in BESIDE_TRAINING if file.name != NAMES[0] and (other := file.with_name(name)).is_file()]
    described = [(file, top), *((other, _description(other)) for other in others)]
    frames = [{**each, **frame} for _, each in described for frame in each["frames"]]
    places = [f"frame {number} of {where.name}" for where, each in described for number in range(1, len(each["frames"]) + 1)]
    root = file.parent
    listed = [str(frame.get("file_path", "")) for frame in frames]
    named = find(listed, root, partial(picture_files, root))
    missing = [(place, name) for place, name in zip(places, listed, strict=True) if name not in named.files]
    if not named.files:
        example = named.why_missing(next(iter(listed), ""))
        raise CaptureError(f"none of the {len(frames)} images that {file} lists exists: it lists {example}")
    photo_files = set(named.files.values())
    masks = find(
        [str(frame["mask_path"]) for frame in frames if frame.get("mask_path")],
        root,
        lambda: [path for path in picture_files(root, masks=True) if path not in photo_files],
    )
    folder = common_folder(list(named.files.values()))
    photos = [
        _photo(frame, named.files[name], masks, folder=folder, where=place)
        for place, frame, name in zip(places, frames, listed, strict=True)
        if name in named.files
    ]
    notes = [*named.said(file.name, root), *masks.said(file.name, root)]
    if others:
        notes.append(f"the frames of {', '.join(other.name for other in others)} are used with those of {file.name}")
    if missing:
        count = f"{len(missing)} of {len(frames)} are missing" if len(missing) > 1 else "the only one missing"
        place, name = missing[0]
        notes.append(f"{place} points to {named.why_missing(name)} ({count})")
    ply = None
    if given := str(top.get("ply_file_path") or ""):
        clouds = find([given], root, partial(files_in, root, (".ply",)))
        ply = clouds.files.get(given)
        notes += clouds.said(file.name, root)
        if ply is None:
            notes.append(f"{file.name} names the points {clouds.why_missing(given)}")
    ordered = by_name(photos)
    given = GivenPoints(ply.name, read_ply_points(ply)) if ply else None
    points, said = usable_points(given, ordered) if given else (None, [])
    return PosedPhotos(
        layout=f"{file.name} (instant-ngp, nerfstudio)",
        image_folder=folder,
        photos=ordered,
        points=points,
        given=len(given.points) if given else 0,
        listed=len(frames),
        pictures=frozenset(pictures_in(folder)),
        sources=(file, *others, *([ply] if ply else [])),
        notes=(*notes, *said),
    )


def _description(file: Path) -> dict[str, Any]:
    try:
        top = json.loads(file.read_text(encoding="utf-8-sig"))
        frames = top["frames"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CaptureError(f"{file} is no JSON object with a list of frames ({type(error).__name__}: {error})") from error
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise CaptureError(f"{file} has frames that are no list of objects: export it again")
    return top


def _photo(frame: dict[str, Any], path: Path, masks: Named, *, folder: Path, where: str) -> Photo:
    where = f"{where} ({path.name})"
    try:
        matrix = np.array(frame.get("transform_matrix", []), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # ragged, or not of numbers
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        raise CaptureError(f"{where} has no 4x4 transform_matrix of numbers")
    world_from_cam = rigid(matrix, where=where) @ OPENCV_FROM_OPENGL
    mask = str(frame.get("mask_path") or "")
    if mask and mask not in masks.files:
        raise CaptureError(
            f"{where} names the mask {masks.why_missing(mask)}: put it there, or take the frame's mask_path away"
        )
    lens, upright = lens_for_file(_lens(frame, path, where=where), path)
    name = path.relative_to(folder).with_suffix("").as_posix()
    return Photo(name, path, lens, inverted(world_from_cam), masks.files.get(mask), upright)


def _lens(given: dict[str, Any], path: Path, *, where: str) -> Lens:
    model = str(given.get("camera_model", "OPENCV"))
    if model not in MODELS:
        raise CaptureError(f"{where} has the camera model {model}, known are {', '.join(MODELS)}")

    def number(name: str, default: int | float = 0.0) -> float:
        value = default if given.get(name) is None else given[name]
        try:
            result = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        except OverflowError:  # a whole number of hundreds of digits
            result = math.inf
        if not math.isfinite(result):
            raise CaptureError(f"{where} has {str(value)[:40]} for {name}, expected a number")
        return result

    stored = image_size(path)
    width, height = round(number("w", stored[0])), round(number("h", stored[1]))
    if width < 1 or height < 1:
        raise CaptureError(f"{where} is {width}x{height} pixels by its w and h: leave them out, or give the picture's size")
    fx = number("fl_x") or _focal(width, number("camera_angle_x"))
    fy = number("fl_y") or _focal(height, number("camera_angle_y")) or fx
    fx = fx or fy
    if fx <= 0 or fy <= 0:
        raise CaptureError(f"{where} has neither a positive fl_x nor camera_angle_x, so its focal length is unknown")
    fisheye = model.endswith("FISHEYE") or bool(given.get("is_fisheye"))
    k1, k2, k3, *more = (number(name) for name in ("k1", "k2", "k3", "k4", "k5", "k6"))
    rational = model == "FULL_OPENCV"
    return Lens(
        model="OPENCV_FISHEYE" if fisheye and not model.endswith("FISHEYE") else model,
        width=width,
        height=height,
        fx=fx,
        fy=fy,
        cx=number("cx", width / 2),
        cy=number("cy", height / 2),
        radial=(k1, k2, k3) if rational else (k1, k2, k3, more[0]),
        tangential=(0.0, 0.0) if fisheye else (number("p1"), number("p2")),
        divisor=tuple(more) if rational else (),
        fisheye=fisheye,
    )


def _focal(pixels: int, angle: float) -> float:
    """In pixels; 0 if the angle is not known."""
    return 0.5 * pixels / math.tan(0.5 * angle) if angle else 0.0
