"""Camera intrinsics with lens distortion."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

FOCAL_RANGE = 1e3
"""A focal length is at most so many times the longer side, a field of view of 0.06 degrees, and at least its inverse."""


@dataclass(frozen=True)
class Lens:
    """Intrinsics for one image size. Pixel centers are at .5, as in COLMAP, instant-ngp and nerfstudio (not as in OpenCV)."""

    model: str
    """Name of the camera model in the capture, for messages."""
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    radial: tuple[float, ...] = ()
    """Coefficients of r^2, r^4, ... (for a fisheye, of powers of the angle)."""
    tangential: tuple[float, float] = (0.0, 0.0)
    """p1, p2 of Brown's model."""
    divisor: tuple[float, ...] = ()
    """Coefficients of r^2, r^4, ... in the denominator of OpenCV's rational model."""
    fisheye: bool = False
    """Equidistant projection (Kannala-Brandt) instead of perspective projection."""

    @property
    def is_pinhole(self) -> bool:
        """Whether the lens has no distortion."""
        return not (self.fisheye or any(self.radial) or any(self.tangential) or any(self.divisor))

    @property
    def K(self) -> Float[np.ndarray, "3 3"]:  # noqa: N802
        """The matrix from ideal (distorted) image-plane coordinates to pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def is_possible(self) -> bool:
        """Whether all numbers are finite, and the focal lengths are those of a camera: neither zero, negative, nor absurd."""
        side = max(self.width, self.height)
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.radial, *self.tangential, *self.divisor)
        return (
            min(self.width, self.height) >= 1
            and all(math.isfinite(number) for number in numbers)
            and all(1 / FOCAL_RANGE <= focal / side <= FOCAL_RANGE for focal in (self.fx, self.fy))
            and all(abs(center) <= FOCAL_RANGE * side for center in (self.cx, self.cy))
        )

    def rescaled(self, width: int, height: int) -> "Lens":
        """The same lens for another image size."""
        across, down = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * across,
            cx=self.cx * across,
            fy=self.fy * down,
            cy=self.cy * down,
        )

    def distort(self, rays: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Distorted image-plane coordinates (z = 1) of the directions (x/z, y/z).

        The formulas are those of OpenCV (calib3d and its fisheye module).
        """
        x, y = rays[..., 0], rays[..., 1]
        r2 = x * x + y * y
        if self.fisheye:
            r = np.sqrt(np.maximum(r2, 1e-24))
            angle = np.arctan(r)
            return rays * (angle * _polynomial(self.radial, angle * angle) / r)[..., None]
        factor = _polynomial(self.radial, r2) / _polynomial(self.divisor, r2)
        p1, p2 = self.tangential
        shift = np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1)
        return rays * factor[..., None] + shift

    def image(self, rays: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Pixel coordinates of the directions (x/z, y/z)."""
        return self.distort(rays) * (self.fx, self.fy) + (self.cx, self.cy)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """1 + c1 x + c2 x^2 + ..."""
    total = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * x
    return 1.0 + total
