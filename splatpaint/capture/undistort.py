"""From photos through any lens to photos through a pinhole."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.capture.lens import Lens

WIDEST, NARROWEST = 0.8, 1.1
"""Bounds of the focal length of the pinhole relative to the lens's: at most a fifth of the resolution in the center is given up
to keep what the borders show, at most a tenth of the view to get rid of borders that show nothing."""
STEP = 0.005
ROWS = 64
"""Worked on at a time: the double precision of a whole large photo would take gigabytes."""


@dataclass(frozen=True, eq=False)
class Undistortion:
    """Where each pixel of the pinhole image comes from. Size and principal point are the lens's own."""

    K: Float[np.ndarray, "3 3"]
    """The pinhole's intrinsics, in pixels."""
    source: Float[np.ndarray, "h w 2"] | None
    """Pixel coordinates (x, y) in the photo, pixel centers at .5; None where the lens is a pinhole already."""
    outside: Bool[np.ndarray, "h w"] | None
    """Pixels that the photo does not show; None where there are none."""


@lru_cache(maxsize=4)
def undistortion(lens: Lens) -> Undistortion:
    """The map to a pinhole of nearly the same field of view.

    Both focal lengths are multiplied by the one factor that keeps as much of the view as possible without black borders, within
    the bounds above; beyond the upper one, borders stay and are reported as `outside`.
    """
    if lens.is_pinhole:
        return Undistortion(lens.K, None, None)
    zoom = NARROWEST
    while zoom - STEP >= WIDEST and _fits(lens, zoom - STEP):
        zoom -= STEP
    source = np.empty((lens.height, lens.width, 2), dtype=np.float32)
    for top in range(0, lens.height, ROWS):
        y, x = np.mgrid[top + 0.5 : min(top + ROWS, lens.height), 0.5 : lens.width]
        rays = np.stack([(x - lens.cx) / (zoom * lens.fx), (y - lens.cy) / (zoom * lens.fy)], axis=-1)
        source[top : top + ROWS] = lens.image(rays)
    beyond = (source < 0) | (source > (lens.width, lens.height))
    outside = beyond[..., 0] | beyond[..., 1]
    K = lens.K
    K[0, 0] *= zoom
    K[1, 1] *= zoom
    return Undistortion(K, source, outside if outside.any() else None)


def undistorted(image: Float[Tensor, "c h w"], via: Undistortion, *, smooth: bool = True) -> Float[Tensor, "c h w"]:
    """The image through the pinhole, at the same size.

    Args:
        image: at the lens's size.
        via: its map.
        smooth: cubic interpolation; without it the nearest pixel, for masks.
    """
    import cv2

    if via.source is None:
        return image
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    kernel = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    at = via.source - np.float32(0.5)  # OpenCV's pixel centers lie on integers
    mapped = cv2.remap(pixels, at[..., 0], at[..., 1], kernel, borderMode=cv2.BORDER_REPLICATE)
    mapped = mapped[..., None] if mapped.ndim == 2 else mapped
    return torch.from_numpy(mapped).permute(2, 0, 1)


def _fits(lens: Lens, zoom: float) -> bool:
    """Whether the pinhole's whole border lies inside the photo, where the lens does not fold over."""
    w, h = lens.width, lens.height
    along, zero = np.linspace(0, 1, 65), np.zeros(65)
    border = np.concatenate(
        [
            np.stack([along * w, zero], axis=1),
            np.stack([along * w, zero + h], axis=1),
            np.stack([zero, along * h], axis=1),
            np.stack([zero + w, along * h], axis=1),
        ]
    )
    rays = (border - (lens.cx, lens.cy)) / (zoom * lens.fx, zoom * lens.fy)
    pixels = lens.image(rays)
    inside = ((pixels >= 0) & (pixels <= (w, h))).all()
    spokes = rays[None] * np.linspace(0, 1, 33)[:, None, None]
    radii = np.linalg.norm(lens.distort(spokes), axis=-1)
    return bool(inside and (np.diff(radii, axis=0) >= 0).all())
