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


def random_crops(
    photos: Sequence[Image.Image], count: int, size_px: int, rng: np.random.Generator, *, closest: float = 0.45
) -> Float[Tensor, "v 3 s s"]:
    """Square crops of random photos, as large as the short side down to `closest` of it, mirrored at random, in [0, 1].

    Crops are never enlarged beyond the photo's own pixels unless the photo is smaller than the crop.
    """
    crops = []
    for _ in range(count):
        photo = photos[int(rng.integers(len(photos)))]
        short = min(photo.size)
        side = int(rng.uniform(max(closest * short, min(size_px, short)), short + 1))
        left, top = (int(rng.integers(extent - side + 1)) for extent in photo.size)
        crop = photo.resize((size_px, size_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        crops.append(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop)
    return to_tensor(crops)


def to_tensor(pictures: Sequence[Image.Image]) -> Float[Tensor, "v 3 h w"]:
    """Pictures of one size as a batch in [0, 1]."""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2).float() / 255.0
