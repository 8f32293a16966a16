"""Undistortion of photos to a pinhole camera."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.capture.lens import Lens

WIDEST, NARROWEST = 0.8, 1.1
"""Bounds of the pinhole's focal length relative to that of the lens. At most a fifth of the center resolution is lost to keep
the borders of the photo, and at most a tenth of the field of view to avoid empty borders."""
STEP = 0.005
"""Step of the search for the focal length."""
FOLD_STEPS = 2049
"""Radii at which a lens model is tested for folding back."""
ROWS = 64
"""Rows processed at once; a whole large photo in double precision would need gigabytes."""


@dataclass(frozen=True, eq=False)
class Undistortion:
    """Map from pixels of the pinhole image to the photo. Size and principal point are those of the lens."""

    K: Float[np.ndarray, "3 3"]
    """The pinhole's intrinsics, in pixels."""
    source: Float[np.ndarray, "h w 2"] | None
    """Pixel coordinates (x, y) in the photo, pixel centers at .5; None if the lens is a pinhole."""
    outside: Bool[np.ndarray, "h w"] | None
    """Pixels outside the photo, or where the lens model folds back and shows what belongs elsewhere; None if there are none."""


@lru_cache(maxsize=4)
def undistortion(lens: Lens) -> Undistortion:
    """The map to a pinhole with nearly the same field of view.

    Both focal lengths are scaled by the factor that keeps the largest field of view without empty borders, within the bounds
    above. Empty borders at the upper bound are given as `outside`.
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
    K = lens.K
    K[0, 0] *= zoom
    K[1, 1] *= zoom
    outside = beyond[..., 0] | beyond[..., 1] | (_radius(K, lens.width, lens.height) > _fold(lens))
    return Undistortion(K, source, outside if outside.any() else None)


def undistorted(image: Float[Tensor, "c h w"], via: Undistortion, *, smooth: bool = True) -> Float[Tensor, "c h w"]:
    """The undistorted image, of the same size.

    Args:
        image: the photo or mask, of the size of the lens.
        via: the map of the lens.
        smooth: cubic interpolation if True, nearest pixel (for masks) otherwise.
    """
    import cv2

    if via.source is None:
        return image
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    kernel = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    at = via.source - np.float32(0.5)  # OpenCV has pixel centers at integers
    mapped = cv2.remap(pixels, at[..., 0], at[..., 1], kernel, borderMode=cv2.BORDER_REPLICATE)
    mapped = mapped[..., None] if mapped.ndim == 2 else mapped
    return torch.from_numpy(mapped).permute(2, 0, 1)


def _fits(lens: Lens, zoom: float) -> bool:
    """Whether the border of the pinhole image lies inside the photo, and the distortion is monotonic up to there."""
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


def _radius(K: Float[np.ndarray, "3 3"], width: int, height: int) -> Float[np.ndarray, "h w"]:
    """Distance of the pixels' rays from the axis, at z = 1."""
    x = (np.arange(width, dtype=np.float32) + 0.5 - K[0, 2]) / K[0, 0]
    y = (np.arange(height, dtype=np.float32) + 0.5 - K[1, 2]) / K[1, 1]
    return np.hypot(x[None], y[:, None])


def _fold(lens: Lens) -> float:
    """The distance from the axis, at z = 1, from where on farther rays come to lie nearer; infinite if there is none."""
    corner = np.hypot(max(lens.cx, lens.width - lens.cx) / lens.fx, max(lens.cy, lens.height - lens.cy) / lens.fy)
    radii = np.linspace(0, corner / WIDEST, FOLD_STEPS)
    distorted = replace(lens, tangential=(0.0, 0.0)).distort(np.stack([radii, np.zeros_like(radii)], axis=1))[:, 0]
    back = np.flatnonzero(np.diff(distorted) < 0)
    return float(radii[back[0]]) if len(back) else np.inf
