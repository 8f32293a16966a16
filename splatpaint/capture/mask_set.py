"""What a set of masks marks: one meaning for all its files, read from all of them.

Masks are stored as 0 and 1, 0 and 255, soft edges between them, numbers of objects (gray or in a palette), colors, or in the
alpha channel of a cut-out. No file alone says which: an empty one of a tracker holds zeros, and one in which a second object
shows up has other values than the next.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from splatpaint.capture.posed import Photo, same_aspect
from splatpaint.errors import MaskError
from splatpaint.image.files import SIDEWAYS, Stored, full_scale, image_size, orientation, read_stored

MaskValue = Literal["auto", "white", "black"] | tuple[int, ...]
"""What of the masks counts: white (or whatever is not 0), black (or 0), or the objects of these numbers. auto = white."""

FEW_VALUES = 64
"""With more different values, masks have soft edges and hold no numbers of objects."""
MANY_VALUES = 1024
"""More different values of one file are not told apart; only their largest counts."""
SPECK = 0.02
"""Share of a set's pixels that are not 0 below which a value may come from soft edges."""
LOSSY = (".jpg", ".jpeg")
"""Suffixes of files that hold values between 0 and 255 whatever was written: they hold no numbers of objects."""
SHOWN = 10
"""Numbers of objects that a message lists."""


@dataclass(frozen=True, eq=False)
class MaskSet:
    """Masks of one meaning."""

    files: Mapping[str, Path] = field(default_factory=dict)
    """By the name of the photo."""
    by_alpha: bool = False
    """Opaque pixels count, whatever their color."""
    by_index: bool = False
    """Of palette pictures, the index counts, not the color."""
    threshold: float = 0.0
    """Values above count."""
    value: MaskValue = "white"
    """The `threshold` separates white from black; or the numbers that count."""
    counts: str = "white"
    """What counts, for messages."""

    def of(self, photo: Photo) -> Float[Tensor, "1 h w"] | None:
        """The mask of a photo (1 = what counts), of the photo's size by nearest neighbor; None if there is none.

        Raises:
            MaskError: if its aspect ratio differs from that of the photo.
            CaptureError: if it cannot be read.
        """
        if photo.name not in self.files:
            return None
        path, size = self.files[photo.name], (photo.lens.width, photo.lens.height)
        counting = self._counting(read_stored(path))
        if _is_turned(counting.shape[::-1], photo):
            counting = _turned(counting, orientation(photo.path), back=not photo.upright)
        mask = torch.from_numpy(counting.copy())[None].float()
        height, width = mask.shape[1:]
        if not same_aspect((width, height), size):
            raise MaskError(
                f"the mask {path} is {width}x{height} but its photo is {size[0]}x{size[1]}: give masks of the photo's shape"
            )
        if (width, height) != size:
            mask = torch.nn.functional.interpolate(mask[None], size=(size[1], size[0]), mode="nearest-exact")[0]
        return mask

    def said_of(self, photos: Iterable[Photo]) -> list[str]:
        """A sentence on the masks that are turned to fit their photos, if there are any."""
        turned = [
            photo.name for photo in photos if photo.name in self.files and _is_turned(image_size(self.files[photo.name]), photo)
        ]
        if not turned:
            return []
        return [f"{len(turned)} masks are turned by the EXIF orientation of their photos, as only then they have their shape"]

    def _counting(self, stored: Stored) -> Bool[np.ndarray, "h w"]:
        if self.by_alpha and stored.alpha is not None:
            counting = stored.alpha > 0.5
        else:
            values = _values(stored, by_index=self.by_index)
            counting = np.isin(values, self.value) if isinstance(self.value, tuple) else values > self.threshold
        return ~counting if self.value == "black" else counting


def _is_turned(size: tuple[int, ...], photo: Photo) -> bool:
    """Whether a mask was drawn on the photo upright where the photo is as stored, or the other way round."""
    width, height = size
    lens = (photo.lens.width, photo.lens.height)
    return not same_aspect((width, height), lens) and same_aspect((height, width), lens) and orientation(photo.path) in SIDEWAYS


def _turned(mask: Bool[np.ndarray, "h w"], exif: int, *, back: bool) -> Bool[np.ndarray, "..."]:
    """The mask turned as a sideways EXIF orientation says, or back."""
    match {6: 8, 8: 6}.get(exif, exif) if back else exif:
        case 5:
            return mask.T
        case 6:
            return np.rot90(mask, -1)
        case 7:
            return np.rot90(mask, 2).T
    return np.rot90(mask)


def read_set(files: Mapping[str, Path], value: MaskValue) -> MaskSet:
    """The masks of these files (by the name of their photo), which are all opened.

    Raises:
        MaskError: if objects are asked for by numbers, and a mask holds no numbers, or none holds one of them.
        CaptureError: if a file cannot be read.
    """
    summaries = [_summary(path) for path in sorted(set(files.values()))]
    by_alpha = any(each.transparent for each in summaries)
    by_index = isinstance(value, tuple) or any(each.colored_palette for each in summaries)
    values: Counter[float] = Counter()
    for each in summaries:
        if not (by_alpha and each.has_alpha):
            values += each.by_index if by_index else each.by_color
    if isinstance(value, tuple):
        _check_ids(value, values, summaries, by_alpha=by_alpha)
        counts = f"the object{'s' * (len(value) > 1)} {_listed(value)}"
        return MaskSet(files, by_alpha=False, by_index=True, value=value, counts=counts)
    ids = _ids(values, lossy=any(each.lossy for each in summaries))
    threshold = 0.0 if ids else full_scale(max(values, default=0.0)) / 2
    if by_alpha:
        counts = "what is transparent" if value == "black" else "what is opaque"
    elif any(each.colored for each in summaries):
        counts = "black" if value == "black" else "any color but black"
    elif ids:
        among = f"any of the objects {_listed(ids)} (--mask-id chooses)" if len(ids) > 1 else f"the object {_listed(ids)}"
        counts = "what is no object" if value == "black" else among
    else:
        counts = "black" if value == "black" else "white"
    return MaskSet(files, by_alpha, by_index, threshold, value, counts)


@dataclass(frozen=True)
class _Summary:
    """What one file contributes to the meaning of its set."""

    path: Path
    has_alpha: bool
    transparent: bool
    """Whether some pixel is."""
    colored_palette: bool
    """Whether the palette's colors tell objects apart, and not black from white."""
    colored: bool
    lossy: bool
    by_color: Counter[float]
    """Number of pixels of each value."""
    by_index: Counter[float]
    """The same if indices count in place of the palette's colors."""


def _summary(path: Path) -> _Summary:
    stored = read_stored(path)
    by_color = by_index = _histogram(_values(stored, by_index=False))
    colored_palette = False
    if stored.palette is not None:
        by_index = _histogram(stored.values)
        colored_palette = bool(np.ptp(stored.palette[np.array([int(index) for index in by_index])], axis=1).any())
    return _Summary(
        path,
        has_alpha=stored.alpha is not None,
        transparent=stored.alpha is not None and bool((stored.alpha < 0.5).any()),
        colored_palette=colored_palette,
        colored=stored.colored,
        lossy=path.suffix.lower() in LOSSY,
        by_color=by_color,
        by_index=by_index,
    )


def _histogram(values: Shaped[np.ndarray, "h w"]) -> Counter[float]:
    found, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(found) > MANY_VALUES:
        some = np.linspace(0, len(found) - 1, MANY_VALUES).astype(int)
        found, counts = found[some], counts[some]
    return Counter({float(value): int(count) for value, count in zip(found, counts, strict=True)})


def _values(stored: Stored, *, by_index: bool) -> Shaped[np.ndarray, "h w"]:
    if stored.palette is None or by_index:
        return stored.values
    return stored.palette.max(axis=1)[stored.values]


def _ids(values: Counter[float], *, lossy: bool) -> tuple[int, ...]:
    """The numbers of objects that a set with these values holds; none if its values are black, white and soft edges."""
    held = {value: count for value, count in values.items() if value != 0}
    white = full_scale(max(held, default=0.0))
    if lossy or not held or len(held) > FEW_VALUES:
        return ()
    large = [value for value, count in held.items() if count >= SPECK * sum(held.values())]
    if all(value > white / 2 for value in large):
        return ()
    return tuple(sorted(int(value) for value in held))


def _check_ids(ids: tuple[int, ...], values: Counter[float], summaries: list[_Summary], *, by_alpha: bool) -> None:
    other = next((each.path for each in summaries if each.colored or (by_alpha and each.has_alpha)), None)
    if other:
        raise MaskError(f"{other} marks by color or transparency, not by numbers of objects: leave --mask-id out")
    held = sorted(int(value) for value in values if value != 0)
    if missing := [number for number in ids if number not in held]:
        raise MaskError(f"no mask holds an object {missing[0]}: they hold {_listed(held) or 'none'}")


def _listed(ids: Sequence[int]) -> str:
    shown = [str(number) for number in ids[:SHOWN]] + ["..."] * (len(ids) > SHOWN)
    return ", ".join(shown)
