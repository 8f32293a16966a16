"""Preparation of a capture for fitting: undistorted and resized images, masks, points, and a normalized world."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from splatpaint.capture import cache as cached
from splatpaint.capture.develop import Developed, Masks, develop, reduced, scaled
from splatpaint.capture.layout import read_layout
from splatpaint.capture.listing import pictures_in
from splatpaint.capture.mask_set import MaskValue, read_set
from splatpaint.capture.masks import MaskFiles, find_masks
from splatpaint.capture.normalize import normalization, normalized_points, normalized_pose
from splatpaint.capture.posed import InputPoints, PosedPhotos
from splatpaint.capture.scatter import scatter
from splatpaint.capture.split import split
from splatpaint.capture.triangulate import LONGEST_SIDE_PX, PinholeImage, triangulate
from splatpaint.capture.undistort import undistortion
from splatpaint.errors import CaptureError, ConfigError, MaskError
from splatpaint.events import Event, Events, Measured, Noted, Progressed, Skipped, drain
from splatpaint.image.files import white_of
from splatpaint.scene.camera import Cameras
from splatpaint.scene.views import Capture, PointCloud, Similarity, View

STAGE = "capture"
MIN_VIEWS = 3
"""With two views, depth is undefined wherever only one of them sees a surface."""
MIN_POINTS = 100
"""With fewer points, the scene extent and the initial splats would depend on a few matches."""
MIN_SIDE_PX = 16
"""Shorter side of a photo, after reduction: losses compare windows of 11 pixels, also in photos of half the size."""
MIN_REGISTERED = 0.9
"""Share of images with a pose below which a warning is given."""
MAX_WORKERS = 4
"""Photos processed in parallel."""
PIXELS_AT_ONCE = 100_000_000
"""Of the photos processed in parallel, unless one alone has more; each needs about 50 bytes per pixel."""
FULL_SHARE = 0.999
"""Share of marked pixels from which a mask counts as covering the whole image."""


@dataclass(frozen=True)
class CaptureConfig:
    """Settings of reading a capture."""

    RENAMED: ClassVar[dict[str, str]] = {"mask_polarity": "capture.mask_value"}

    max_resolution: int | None = None
    """Longest image side in pixels; larger photos are downsized with an area filter. None = original size."""
    test_every: int = 0
    """Every n-th view by name, from the first on, is held out for evaluation. 0 = none; the literature uses 8."""
    masks: str | None = None
    """Folder of the fill masks, in the capture or elsewhere. None = masks, label, seg or the like next to the photos."""
    mask_value: MaskValue = "auto"
    """What of the masks is filled: white, black, or the objects of a list of numbers, as in [1, 8]. auto = white, or whatever
    is not 0 if they hold numbers, or an error if the file names suggest black."""

    def __post_init__(self) -> None:
        if self.max_resolution is not None and self.max_resolution < 16:
            raise ConfigError(f"max_resolution is {self.max_resolution}, expected at least 16 pixels")
        if self.test_every < 0 or self.test_every == 1:
            raise ConfigError(f"test_every is {self.test_every}, expected 0 (hold out none) or at least 2")


def prepare(path: Path, config: CaptureConfig, *, cache: Path) -> Events[Capture]:
    """Prepares the capture, or loads it from the cache.

    Every image has the size of its camera and every camera is a pinhole. New files lie in a folder of `cache` that is named by
    a fingerprint of the inputs and the configuration, and is reused while these are unchanged. The description is written last;
    without it, an interrupted preparation starts over.

    Raises:
        CaptureError: if the capture cannot be used.
        MaskError: if its masks cannot be used.
    """
    posed, masks = read(path, config)
    check_count(path, posed, config)
    folder = cache / cached.cache_key(_inputs(posed, masks), repr(config))
    if cached.is_complete(folder):
        yield Skipped(STAGE, folder)
        cached.mark_used(folder)
        return cached.load(folder)

    yield Noted(STAGE, describe(posed))
    for message in posed.notes:
        yield Noted(STAGE, message, "warning")
    if len(posed.photos) < MIN_REGISTERED * len(posed.pictures):
        yield Noted(STAGE, _few_poses_message(posed), "warning")
    for message in masks.notes:
        yield Noted(STAGE, message)
    for message in masks.warnings:
        yield Noted(STAGE, message, "warning")
    meaning = read_masks(masks, config)
    for message in meaning.said_of(posed.photos):
        yield Noted(STAGE, message)
    few_points = posed.points is None or len(posed.points) < MIN_POINTS
    world_from_input = None if posed.points is None or few_points else normalization(posed.photos, posed.points)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        workspace = Path(scratch) if few_points else None
        developed = yield from _develop_all(posed, meaning, folder, config, pictures=workspace and workspace / "pictures")
        if broken := sum(item.nonfinite > 0 for item in developed):
            pixels = sum(item.nonfinite for item in developed)
            yield Noted(STAGE, f"{pixels} pixels of {broken} photos are NaN or infinite, and are ignored", "warning")
        if transparent := sum(item.transparent for item in developed):
            yield Noted(STAGE, f"{transparent} photos have transparent pixels: these are ignored")
        yield from check_masks(
            [item.fill_share for item in developed if item.fill_mask], [item.ignore_share for item in developed], masks, meaning
        )
        points = (yield from _triangulate(posed, workspace)) if workspace else posed.points
    if points is None or len(points) < MIN_POINTS:
        yield Noted(STAGE, _few_points_message(points), "warning")
        points = scatter(posed.photos)

    capture = _assemble(developed, points, world_from_input or normalization(posed.photos, points), config)
    cached.save(folder, capture)
    cached.mark_used(folder)
    counts = {"views": len(capture.views), "held_out": len(capture.held_out), "points": len(points), "masks": len(masks.fill)}
    yield Measured(STAGE, {name: float(count) for name, count in counts.items()})
    undistortion.cache_clear()
    return capture


def load_capture(path: Path, config: CaptureConfig, *, cache: Path, show: Callable[[Event], object] | None = None) -> Capture:
    """The prepared capture, for callers that want no generator.

    Args:
        path: folder with images, their poses, and masks.
        config: see there.
        cache: folder of the undistorted and resized photos, which the capture refers to; made if it does not exist.
        show: called with every event of `prepare`, whose warnings state problems of the capture; None: they are ignored.

    Raises:
        CaptureError: if the capture cannot be used.
        MaskError: if its masks cannot be used.
    """
    return drain(prepare(path, config, cache=cache), show)


def inputs(path: Path, config: CaptureConfig) -> list[Path]:
    """All files that `prepare` reads: poses, points, photos with a pose, and their masks.

    Raises:
        CaptureError: if the capture cannot be read.
        MaskError: if its masks cannot be used.
    """
    return sorted(_inputs(*read(path, config)))


def read(path: Path, config: CaptureConfig) -> tuple[PosedPhotos, MaskFiles]:
    """The photos and their masks. Masks in the image folder do not count as images without a pose.

    Raises:
        CaptureError: if the capture cannot be read.
        MaskError: if its masks cannot be used.
    """
    posed = read_layout(path)
    masks = find_masks(path, posed, folder=config.masks, value=config.mask_value)
    names = {name for name, path in pictures_in(posed.image_folder).items() if path in masks.files}
    pictures = posed.pictures - (names - {photo.name for photo in posed.photos})
    return replace(posed, pictures=pictures, notes=(*posed.notes, *_outside(path, posed, masks))), masks


def read_masks(masks: MaskFiles, config: CaptureConfig) -> Masks:
    """The masks with their meaning. All of them are opened.

    Raises:
        MaskError: if objects are asked for by numbers that no mask holds.
        CaptureError: if a mask cannot be read.
    """
    return Masks(
        fill=read_set(masks.fill, config.mask_value),
        ignore=(read_set(masks.ignore, "white"), read_set(masks.ignore_black, "black")),
    )


def check_count(path: Path, posed: PosedPhotos, config: CaptureConfig) -> None:
    """Checks that enough photos remain for training, of a size that can be compared.

    Raises:
        CaptureError: if fewer than `MIN_VIEWS` remain, or one is too narrow.
    """
    for photo in posed.photos:
        size = reduced((photo.lens.width, photo.lens.height), config.max_resolution)
        if min(size) < MIN_SIDE_PX:
            raise CaptureError(
                f"{photo.path} is {photo.lens.width}x{photo.lens.height} pixels and would be fitted at {size[0]}x{size[1]}, but"
                f" the shorter side needs {MIN_SIDE_PX} pixels: give larger photos, or raise --max-resolution"
            )
    usable = len(posed.photos)
    supervising = usable - (len(range(0, usable, config.test_every)) if config.test_every else 0)
    if supervising < MIN_VIEWS:
        held_out = f" of which {usable - supervising} are held out" if supervising < usable else ""
        raise CaptureError(
            f"{path} has {usable} usable views ({posed.listed} posed, {len(posed.pictures)} pictures found){held_out}, "
            f"at least {MIN_VIEWS} are needed to learn from"
        )


def describe(posed: PosedPhotos) -> str:
    """One line on the capture: layout, camera models and sizes, share of images with a pose."""
    lenses = sorted({(p.lens.model, p.lens.width, p.lens.height, p.lens.is_pinhole) for p in posed.photos})
    described = [f"{model} {w}x{h}{'' if straight else ', to be undistorted'}" for model, w, h, straight in lenses]
    shown = "; ".join(described[:4]) + ("; ..." if len(described) > 4 else "")
    registered = f"{len(posed.photos)} of {len(posed.pictures)} pictures in {posed.image_folder.name} have a pose"
    points = f"{len(posed.points)} points" if posed.points is not None else "no points"
    return f"{posed.layout}: {registered}, {shown}, {points}"


def _outside(root: Path, posed: PosedPhotos, masks: MaskFiles) -> Iterator[str]:
    """Says which pictures the capture brings in from elsewhere, by absolute or climbing paths, or by links."""
    whole = root.resolve()
    for what, files in (("photos", [photo.path for photo in posed.photos]), ("masks", sorted(masks.files))):
        outside = [file for file in files if not file.resolve().is_relative_to(whole)]
        if outside:
            yield f"{len(outside)} of {len(files)} {what} are read from outside {root} (such as {outside[0].resolve()})"


def _inputs(posed: PosedPhotos, masks: MaskFiles) -> Iterator[Path]:
    yield from posed.sources
    yield from (photo.path for photo in posed.photos)
    yield from masks.files


def _develop_all(
    posed: PosedPhotos, masks: Masks, folder: Path, config: CaptureConfig, *, pictures: Path | None
) -> Events[list[Developed]]:
    def one(number: int) -> Developed:
        return develop(
            posed.photos[number],
            masks,
            folder,
            max_resolution=config.max_resolution,
            white=white,
            feature_image=pictures / _feature_file(number) if pictures else None,
        )

    total = len(posed.photos)
    developed = []
    white = white_of(photo.path for photo in posed.photos)
    largest = max(photo.lens.width * photo.lens.height for photo in posed.photos)
    at_once = min(MAX_WORKERS, os.cpu_count() or 1, max(1, PIXELS_AT_ONCE // largest))
    if white != 1:
        yield Noted(STAGE, f"photos of floating-point numbers are taken to be white at {white:g}")
    pool = ThreadPoolExecutor(max_workers=at_once)
    try:
        yield Progressed(STAGE, 0, total)
        for done, item in enumerate(pool.map(one, range(total)), start=1):
            developed.append(item)
            yield Progressed(STAGE, done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return developed


def check_masks(shares: Sequence[float], ignore_shares: Sequence[float], masks: MaskFiles, meaning: Masks) -> Iterator[Noted]:
    """Reports the masked share, and warns of unusual masks.

    Args:
        shares: share of the pixels to be filled, of every photo with a fill mask.
        ignore_shares: share of the pixels to be ignored, of every photo.
        masks: the files.
        meaning: what they mark.

    Raises:
        MaskError: if all fill masks are empty or cover the whole image, or all pixels are ignored.
    """
    if all(share >= FULL_SHARE for share in ignore_shares):
        raise MaskError("the ignore masks cover every photo from edge to edge, so nothing is left to learn from")
    if not shares:
        return
    counts = meaning.fill.counts
    if max(shares) == 0:
        raise MaskError(f"all {len(shares)} masks in {masks.folder} are empty: {counts} has to mark what to fill")
    if min(shares) >= FULL_SHARE:
        raise MaskError(f"all {len(shares)} masks in {masks.folder} cover their photo from edge to edge: nothing would be kept")
    mean = float(np.mean(shares))
    yield Noted(STAGE, f"the masks mark {mean:.1%} of the pixels on average (filled: {counts})")
    if mean > 0.5:
        other = "white" if meaning.fill.value == "black" else "black"
        yield Noted(STAGE, f"more than half is marked: if that is the rest of the scene, set mask polarity {other}", "warning")
    empty, full = sum(share == 0 for share in shares), sum(share >= FULL_SHARE for share in shares)
    if empty:
        yield Noted(STAGE, f"{empty} of {len(shares)} masks are empty: their photos are taken as showing nothing to remove")
    if full:
        yield Noted(STAGE, f"{full} of {len(shares)} masks cover their photo from edge to edge", "warning")
    if len(shares) < len(ignore_shares):
        unmasked = f"{len(ignore_shares) - len(shares)} of {len(ignore_shares)} photos have no mask"
        yield Noted(STAGE, f"{unmasked}: they are taken as showing nothing to remove", "warning")


def _triangulate(posed: PosedPhotos, workspace: Path) -> Events[InputPoints | None]:
    usable = len(posed.points) if posed.points else 0
    brings = f"{posed.given} points, {usable} of them of use" if posed.given else "no points"
    yield Noted(STAGE, f"the capture brings {brings}: they are triangulated from the photos with the known poses")
    pictures = []
    for number, photo in enumerate(posed.photos):
        full = (photo.lens.width, photo.lens.height)
        width, height = size = reduced(full, LONGEST_SIDE_PX)
        K = scaled(undistortion(photo.lens).K, full, size)
        pictures.append(PinholeImage(_feature_file(number), width, height, K, photo.cam_from_world))
    points = yield from triangulate(workspace / "pictures", pictures, workspace=workspace)
    if points is not None:
        yield Noted(STAGE, f"{len(points)} points were triangulated")
    return points


def _feature_file(number: int) -> str:
    return f"{number:05d}.jpg"


def _few_poses_message(posed: PosedPhotos) -> str:
    count = len(posed.pictures)
    return (
        f"{count - len(posed.photos)} of {count} pictures have no pose and are not used: if they matter, solve the poses again "
        "with exhaustive matching, or with more pictures between those that were left out"
    )


def _few_points_message(points: InputPoints | None) -> str:
    count = 0 if points is None else len(points)
    return (
        f"only {count} points could be triangulated, so the fit starts from random ones: expect a worse result, and check that "
        "the poses belong to these photos and that neighboring photos overlap"
    )


def _assemble(
    developed: Sequence[Developed], points: InputPoints, world_from_input: Similarity, config: CaptureConfig
) -> Capture:
    views = []
    for item in developed:
        pose = normalized_pose(item.photo.cam_from_world, world_from_input)
        K, cam_from_world = torch.from_numpy(item.K).float(), torch.from_numpy(pose).float()
        camera = Cameras(K[None], cam_from_world[None], item.width, item.height)
        views.append(View(item.photo.name, camera, item.image, item.fill_mask, item.ignore_mask))
    positions = torch.from_numpy(normalized_points(points.positions, world_from_input)).float()
    cloud = PointCloud(positions, torch.from_numpy(points.colors))
    supervising, held_out = split(views, test_every=config.test_every)
    return Capture(supervising, held_out, cloud, world_from_input)
