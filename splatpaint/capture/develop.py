"""Preparation of one photo: undistortion, resizing, and masks in canonical form."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.capture.mask_set import MaskSet
from splatpaint.capture.posed import Photo
from splatpaint.capture.triangulate import LONGEST_SIDE_PX
from splatpaint.capture.undistort import Undistortion, undistorted, undistortion
from splatpaint.image.files import holds_floats, nonfinite_pixels, read_image, read_opaque, write_image, write_mask
from splatpaint.scene.view_files import view_file


@dataclass(frozen=True, eq=False)
class Developed:
    """The files of one view, all of the same size, with the pose in the input frame."""

    photo: Photo
    width: int
    height: int
    K: Float[np.ndarray, "3 3"]
    image: Path
    fill_mask: Path | None
    ignore_mask: Path | None
    fill_share: float
    """Share of the pixels to be filled; 0 without a mask."""
    ignore_share: float
    """Share of the pixels to be ignored; 0 without a mask."""
    nonfinite: int
    """Pixels of the photo that are NaN or infinite; they are ignored."""
    transparent: bool
    """Whether pixels are ignored because they are transparent in the photo."""


@dataclass(frozen=True)
class Masks:
    """The masks of a capture, by what they are for."""

    fill: MaskSet
    ignore: Sequence[MaskSet]

    def said_of(self, photos: Sequence[Photo]) -> list[str]:
        """What is worth saying of how masks and photos fit together, a sentence each."""
        return [sentence for masks in (self.fill, *self.ignore) for sentence in masks.said_of(photos)]


def develop(
    photo: Photo,
    masks: Masks,
    folder: Path,
    *,
    max_resolution: int | None,
    white: float = 1.0,
    feature_image: Path | None = None,
) -> Developed:
    """Writes the image, the fill mask and the ignore mask of a view.

    The image is undistorted at full size and then downsized with an area filter; masks are sampled at the nearest pixel. A
    photo that needs neither is not copied, unless it holds floating-point numbers.

    Args:
        photo: the photo on disk.
        masks: the masks of the capture.
        folder: output folder of `images`, `fill_masks` and `ignore_masks`.
        max_resolution: longest image side in pixels; None keeps the size.
        white: value that is white in photos of floating-point numbers.
        feature_image: path of an additional copy for feature extraction.

    Raises:
        CaptureError: if a file cannot be read.
        MaskError: if a mask has another shape than its photo.
    """
    via = undistortion(photo.lens)
    full = (photo.lens.width, photo.lens.height)
    size = reduced(full, max_resolution)
    image = undistorted(read_image(photo.path, upright=photo.upright, white=white), via)
    path = photo.path
    if via.source is not None or size != full or photo.upright or holds_floats(photo.path):
        path = view_file(folder / "images", photo.name)
        write_image(path, _area(image, size))
    if feature_image:
        write_image(feature_image, _area(image, reduced(full, LONGEST_SIDE_PX)))

    fill = masks.fill.of(photo)
    fill = None if fill is None else undistorted(fill, via, smooth=False)
    broken = nonfinite_pixels(photo.path, upright=photo.upright)
    opaque = read_opaque(photo.path, upright=photo.upright)
    ignore = _ignore(photo, masks, via, broken, opaque)
    return Developed(
        photo=photo,
        width=size[0],
        height=size[1],
        K=scaled(via.K, full, size),
        image=path,
        fill_mask=_written(fill, size, view_file(folder / "fill_masks", photo.name)),
        ignore_mask=_written(ignore, size, view_file(folder / "ignore_masks", photo.name)),
        fill_share=0.0 if fill is None else float(fill.mean()),
        ignore_share=0.0 if ignore is None else float(ignore.mean()),
        nonfinite=0 if broken is None else int(broken.sum()),
        transparent=opaque is not None,
    )


def reduced(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Width and height, downsized so that neither exceeds `longest`; never enlarged."""
    scale = min(1.0, longest / max(size)) if longest else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def scaled(K: Float[np.ndarray, "3 3"], size: tuple[int, int], to: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Intrinsics for another image size."""
    return np.diag([to[0] / size[0], to[1] / size[1], 1.0]) @ K


def _ignore(
    photo: Photo,
    masks: Masks,
    via: Undistortion,
    broken: Float[Tensor, "1 h w"] | None,
    opaque: Float[Tensor, "1 h w"] | None,
) -> Float[Tensor, "1 h w"] | None:
    parts = [undistorted(mask, via, smooth=False) for each in masks.ignore if (mask := each.of(photo)) is not None]
    if broken is not None:
        parts.append(undistorted(broken, via, smooth=False))
    if opaque is not None:
        parts.append(undistorted(1 - opaque, via, smooth=False))
    if via.outside is not None:
        parts.append(torch.from_numpy(via.outside)[None].float())
    return torch.stack(parts).amax(dim=0) if parts else None


def _written(mask: Float[Tensor, "1 h w"] | None, size: tuple[int, int], path: Path) -> Path | None:
    if mask is None:
        return None
    write_mask(path, torch.nn.functional.interpolate(mask[None], size=(size[1], size[0]), mode="nearest-exact")[0])
    return path


def _area(image: Float[Tensor, "3 h w"], size: tuple[int, int]) -> Float[Tensor, "3 H W"]:
    import cv2

    if (image.shape[2], image.shape[1]) == size:
        return image
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).permute(2, 0, 1)
