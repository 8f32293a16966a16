"""Training pictures: a folder of photos, split into train and test, and random crops and simulated views of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from splatpaint.errors import CaptureError, PriorError
from splatpaint.image.files import open_picture
from splatpaint.reading import UnreadableError, read_json, understanding

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
HELD_OUT_EVERY = 20
"""Without an index, every so many-th picture is for testing."""
VIEW_SHARE = 0.75
"""Largest side of a simulated view as a share of the photo's short side, so that views can be shifted."""
CORNERS = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
"""Corners of a square, in the order of Pillow's quadrilateral transform."""


@dataclass(frozen=True)
class PhotoSet:
    """Pictures in memory, 8-bit RGB, of any sizes."""

    train: tuple[Image.Image, ...]
    test: tuple[Image.Image, ...]
    names: tuple[str, ...]
    """Paths of all pictures, relative to the folder."""


def read_photos(folder: Path) -> PhotoSet:
    """Reads all pictures in a folder and its subfolders.

    An `index.json` in the folder, a list of `{"file": ..., "split": "train" | "test"}`, splits them. Of pictures that it does
    not list, every twentieth is for testing.

    Raises:
        PriorError: if the folder holds fewer than two pictures, or one that cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(files) < 2:
        raise PriorError(
            f"{folder} holds {len(files)} pictures ({', '.join(sorted(SUFFIXES))}), but training needs at least two"
        )
    index = folder / "index.json"
    split = _split(index) if index.exists() else {}
    train, test = [], []
    for number, path in enumerate(files):
        held_out = split.get(path.name, "test" if number % HELD_OUT_EVERY == 0 else "train") == "test"
        (test if held_out else train).append(_read(path))
    return PhotoSet(tuple(train), tuple(test), tuple(str(path.relative_to(folder)) for path in files))


def _split(index: Path) -> dict[str, str]:
    try:
        entries = read_json(index)
        with understanding():
            return {entry["file"]: entry["split"] for entry in entries}
    except UnreadableError as error:
        raise PriorError(f"{index} is no list of files and splits ({error}): mend or delete it") from error


def _read(path: Path) -> Image.Image:
    try:
        with open_picture(path) as image:
            return image.convert("RGB")
    except CaptureError as error:
        raise PriorError(str(error)) from error


def by_area(photos: Sequence[Image.Image], least_px: int) -> tuple[list[Image.Image], np.ndarray]:
    """The photos with a short side of at least `least_px` (all, if there is none), and each one's share of their pixels."""
    large = [photo for photo in photos if min(photo.size) >= least_px] or list(photos)
    areas = np.array([photo.width * photo.height for photo in large], dtype=np.float64)
    return large, areas / areas.sum()


def random_views(
    photos: Sequence[Image.Image], count: int, views: int, size_px: int, rng: np.random.Generator
) -> list[Float[Tensor, "v 3 s s"]]:
    """Simulated views of `count` places: random perspective warps and exposures of one part of a photo.

    They replace neighboring views of posed captures. The probability of a photo is proportional to its area.
    """
    large, shares = by_area(photos, round(size_px / VIEW_SHARE))
    batches: list[list[Tensor]] = [[] for _ in range(views)]
    for _ in range(count):
        photo = large[rng.choice(len(large), p=shares)]
        short = min(photo.size)
        side = rng.uniform(min(size_px / short, VIEW_SHARE), VIEW_SHARE) * short
        center = np.array([rng.uniform(side / 2, extent - side / 2) for extent in photo.size])
        mirrored = rng.random() < 0.5
        for batch in batches:
            view = to_tensor([_simulated_view(photo, center, side, size_px, rng)])
            exposure = rng.uniform(0.92, 1.08) * rng.uniform(0.97, 1.03, size=3)
            view = (view * torch.from_numpy(exposure).float()[:, None, None]).clamp(0, 1)
            batch.append(view.flip(3) if mirrored else view)
    return [torch.cat(batch) for batch in batches]


def _simulated_view(photo: Image.Image, center: np.ndarray, side: float, size_px: int, rng: np.random.Generator) -> Image.Image:
    """The square around a center, warped as if seen by a camera nearby."""
    angle, zoom = np.deg2rad(rng.uniform(-8, 8)), np.exp(rng.uniform(-0.2, 0.2))
    turn = zoom * side / 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = center + rng.normal(0, 0.1, size=2).clip(-0.3, 0.3) * side
    corners = middle + CORNERS @ turn.T + rng.uniform(-0.04, 0.04, size=(4, 2)) * side
    corners = corners.clip(0, np.array(photo.size))
    low, high = corners.min(axis=0), corners.max(axis=0)
    # Reduced with an antialiasing filter first, since the warp only interpolates.
    shape = np.maximum(np.ceil((high - low) * size_px / side), 1).astype(int)
    near = photo.resize((int(shape[0]), int(shape[1])), Image.Resampling.BICUBIC, box=(*low, *high))
    quad = ((corners - low) / (high - low) * shape).ravel()
    return near.transform((size_px, size_px), Image.Transform.QUAD, [float(x) for x in quad], Image.Resampling.BICUBIC)


def random_crops(
    photos: Sequence[Image.Image], count: int, size_px: int, rng: np.random.Generator, *, closest: float = 0.45
) -> Float[Tensor, "v 3 s s"]:
    """Random square crops, mirrored at random, in [0, 1]. The probability of a photo is proportional to its area.

    Args:
        photos: the pictures.
        count: number of crops.
        size_px: side of the crops, after resizing. They are not enlarged, unless no photo is that large.
        rng: random numbers.
        closest: least side of a crop before resizing, as a share of the photo's short side.
    """
    large, shares = by_area(photos, size_px)
    crops = []
    for _ in range(count):
        photo = large[rng.choice(len(large), p=shares)]
        short = min(photo.size)
        side = int(rng.uniform(max(closest * short, min(size_px, short)), short + 1))
        left, top = (int(rng.integers(extent - side + 1)) for extent in photo.size)
        crop = photo.resize((size_px, size_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        crops.append(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop)
    return to_tensor(crops)


def to_tensor(pictures: Sequence[Image.Image]) -> Float[Tensor, "v 3 h w"]:
    """Pictures of equal size as a batch in [0, 1]."""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2).float() / 255.0
