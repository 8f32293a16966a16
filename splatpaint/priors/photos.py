"""A folder of photographs as training material: read once, cropped at random, split into train and test."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from splatpaint.errors import PriorError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
HELD_OUT_EVERY = 20
"""One in so many pictures is kept for testing where no index says which."""
VIEW_SHARE = 0.75
"""Largest part of a photo's short side that one of several views shows, so that there is somewhere to move."""
CORNERS = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
"""Of a square, in the order that Pillow's quadrilateral transform wants."""


@dataclass(frozen=True)
class PhotoSet:
    """Pictures in memory, 8-bit RGB, of any size."""

    train: tuple[Image.Image, ...]
    test: tuple[Image.Image, ...]
    names: tuple[str, ...]
    """Of all pictures, as they lie in the folder."""


def read_photos(folder: Path) -> PhotoSet:
    """All pictures below a folder.

    An `index.json` in it, a list of `{"file": ..., "split": "train" | "test"}`, says which are for testing; of the pictures
    that it does not list, and without an index, one in twenty is.

    Raises:
        PriorError: if the folder holds fewer than two pictures, or one that cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(files) < 2:
        raise PriorError(
            f"{folder} holds {len(files)} pictures ({', '.join(sorted(SUFFIXES))}), but training needs at least two"
        )
    index = folder / "index.json"
    split = {entry["file"]: entry["split"] for entry in json.loads(index.read_text())} if index.exists() else {}
    train, test = [], []
    for number, path in enumerate(files):
        held_out = split.get(path.name, "test" if number % HELD_OUT_EVERY == 0 else "train") == "test"
        (test if held_out else train).append(_read(path))
    return PhotoSet(tuple(train), tuple(test), tuple(str(path.relative_to(folder)) for path in files))


def _read(path: Path) -> Image.Image:
    try:
        return Image.open(path).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise PriorError(f"{path} cannot be read as a picture ({error}): remove it or save it again") from error


def by_area(photos: Sequence[Image.Image], least_px: int) -> tuple[list[Image.Image], np.ndarray]:
    """The photos that need no enlarging to `least_px` (all, if none is that large), and each one's share of their pixels."""
    large = [photo for photo in photos if min(photo.size) >= least_px] or list(photos)
    areas = np.array([photo.width * photo.height for photo in large], dtype=np.float64)
    return large, areas / areas.sum()


def random_views(
    photos: Sequence[Image.Image], count: int, views: int, size_px: int, rng: np.random.Generator
) -> list[Float[Tensor, "v 3 s s"]]:
    """Several views of each of `count` places: the same part of a photo moved, turned, tilted and exposed a little differently.

    Photos are drawn by their area. Stand-in for pairs of a posed capture, which need a capture.
    """
    large, shares = by_area(photos, round(size_px / VIEW_SHARE))
    places: list[list[Tensor]] = [[] for _ in range(views)]
    for _ in range(count):
        photo = large[rng.choice(len(large), p=shares)]
        short = min(photo.size)
        side = rng.uniform(min(size_px / short, VIEW_SHARE), VIEW_SHARE) * short
        center = np.array([rng.uniform(side / 2, extent - side / 2) for extent in photo.size])
        mirrored = rng.random() < 0.5
        for place in places:
            view = to_tensor([_seen(photo, center, side, size_px, rng)])
            exposure = rng.uniform(0.92, 1.08) * rng.uniform(0.97, 1.03, size=3)
            view = (view * torch.from_numpy(exposure).float()[:, None, None]).clamp(0, 1)
            place.append(view.flip(3) if mirrored else view)
    return [torch.cat(place) for place in places]


def _seen(photo: Image.Image, center: np.ndarray, side: float, size_px: int, rng: np.random.Generator) -> Image.Image:
    """The square around a center as a camera nearby would see it."""
    angle, zoom = np.deg2rad(rng.uniform(-8, 8)), np.exp(rng.uniform(-0.2, 0.2))
    turn = zoom * side / 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = center + rng.normal(0, 0.1, size=2).clip(-0.3, 0.3) * side
    corners = middle + CORNERS @ turn.T + rng.uniform(-0.04, 0.04, size=(4, 2)) * side
    corners = corners.clip(0, np.array(photo.size))
    low, high = corners.min(axis=0), corners.max(axis=0)
    # Reduced with a filter first: the warp itself only samples.
    shape = np.maximum(np.ceil((high - low) * size_px / side), 1).astype(int)
    near = photo.resize((int(shape[0]), int(shape[1])), Image.Resampling.BICUBIC, box=(*low, *high))
    quad = ((corners - low) / (high - low) * shape).ravel()
    return near.transform((size_px, size_px), Image.Transform.QUAD, [float(x) for x in quad], Image.Resampling.BICUBIC)


def random_crops(
    photos: Sequence[Image.Image], count: int, size_px: int, rng: np.random.Generator, *, closest: float = 0.45
) -> Float[Tensor, "v 3 s s"]:
    """Square crops of random photos, as large as the short side down to `closest` of it, mirrored at random, in [0, 1].

    Photos are drawn by their area. Crops are not enlarged, unless no photo is as large as the crop.
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
    """Pictures of one size as a batch in [0, 1]."""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2).float() / 255.0
