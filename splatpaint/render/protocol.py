"""Interface and constants of all rasterizers."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats

NEAR = 0.01
"""Splats whose center has a smaller z-depth (world units) are not drawn."""
BLUR_PX = 0.3
"""Added to the diagonal of every projected covariance in square pixels, so that no splat falls between pixels (3DGS, sec.
4)."""
ALPHA_MIN = 1.0 / 255.0
"""Alpha below this counts as zero: it could not change an 8-bit image."""
ALPHA_MAX = 0.999
"""Alpha is clamped here so that transmittance never reaches zero and the backward pass can divide by 1 - alpha."""
TRANSMITTANCE_MIN = 1e-4
"""Compositing stops before the splat that would bring transmittance to this or below."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """Rendered maps of every camera."""

    color: Float[Tensor, "v c h w"]
    """Composited over the background (black if none is given)."""
    alpha: Float[Tensor, "v 1 h w"]
    """Accumulated opacity, 1 - final transmittance."""
    depth: Float[Tensor, "v 1 h w"]
    """z-depth in world units: alpha divided by the composited inverse depths of the centers; 0 where alpha is 0. Where a
    surface lets a tenth of what is far behind it through, this stays at the surface; the mean of the depths would not."""
    means2d: Float[Tensor, "v n 2"]
    """Projected centers in pixels. Part of the autograd graph: call `retain_grad()` before backward to get the
    screen-space gradient for densification."""
    radii: Int[Tensor, "v n"]
    """Bounding radius in whole pixels; 0 where the splat is not drawn."""


@runtime_checkable
class Rasterizer(Protocol):
    """Renders splats: a differentiable function, linear in their colors or features."""

    def __call__(
        self,
        splats: Splats,
        cameras: Cameras,
        *,
        features: Float[Tensor, "n c"] | None = None,
        background: Float[Tensor, " c"] | None = None,
    ) -> Rendered:
        """Renders every camera.

        Args:
            splats: any number of splats, including none.
            cameras: on the splats' device.
            features: values that are composited instead of the colors, unclamped, with any number of channels.
            background: color behind all splats.
        """
        ...
