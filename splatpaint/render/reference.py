"""Reference rasterizer: the specification that faster backends are tested against.

Dense, in plain torch, in any precision, differentiable in everything (also in the cameras). Every splat is evaluated at every
pixel, so the cost is splats times pixels; use it for tests and small scenes.

The steps are those of 3D Gaussian Splatting (Kerbl et al., 2023): project each Gaussian with the local affine approximation of
EWA splatting (Zwicker et al., 2001), sort by depth, composite front to back.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from splatpaint.render.protocol import ALPHA_MAX, ALPHA_MIN, BLUR_PX, NEAR, TRANSMITTANCE_MIN, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.harmonics import colors_seen_from
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import Splats

FRUSTUM_MARGIN = 0.3
"""Margin of the affine approximation outside the image, as a share of the half field of view; it diverges farther out."""
EXTENT_MAX = 3.33
"""Standard deviations beyond which even an opaque splat's alpha is below ALPHA_MIN: sqrt(2 ln 255), rounded up."""
CHUNK = 2**22
"""Splat-pixel pairs composited at once; each intermediate tensor takes about 30 MB in float64."""


@dataclass(frozen=True, eq=False)
class Projected:
    """Splats as 2D Gaussians in the image of every camera."""

    means2d: Float[Tensor, "v n 2"]
    """Pixels; 0 for splats in front of the near plane."""
    conics: Float[Tensor, "v n 3"]
    """xx, xy and yy of the inverse covariances, blur included; 1 / square pixels."""
    depths: Float[Tensor, "v n"]
    """z-depths of the centers in world units."""
    radii: Int[Tensor, "v n"]
    """Half the side of the bounding square in whole pixels; 0 where the splat is not drawn."""


def rasterize(
    splats: Splats,
    cameras: Cameras,
    *,
    features: Float[Tensor, "n c"] | None = None,
    background: Float[Tensor, " c"] | None = None,
) -> Rendered:
    """Renders every camera; see `render.protocol.Rasterizer`."""
    projected = project(splats, cameras)
    painted = colors_seen_from(splats, cameras.centers) if features is None else features.expand(len(cameras), -1, -1)
    # Inverse depth is an additional channel without background.
    inverse_depths = 1 / projected.depths.clamp_min(NEAR)
    painted = torch.cat([painted, inverse_depths[..., None]], dim=-1)
    views = []
    for view in range(len(cameras)):
        order = _front_to_back(projected.depths[view], projected.radii[view] > 0)
        views.append(
            _composite_image(
                projected.means2d[view, order],
                projected.conics[view, order],
                splats.opacities[order],
                painted[view, order],
                cameras.width,
                cameras.height,
            )
        )
    layers = torch.stack(views).permute(0, 3, 1, 2)
    color, inverse_depth, alpha = layers[:, :-2], layers[:, -2:-1], layers[:, -1:]
    if background is not None:
        color = color + (1 - alpha) * background[:, None, None]
    depth = alpha / torch.where(alpha > 0, inverse_depth, 1.0)
    return Rendered(color=color, alpha=alpha, depth=depth, means2d=projected.means2d, radii=projected.radii)


def project(splats: Splats, cameras: Cameras) -> Projected:
    """The splats as 2D Gaussians in every image (Zwicker et al., 2001, eq. 31)."""
    cam_from_world = cameras.cam_from_world[:, None, :3, :3]
    centers = torch.einsum("vij,nj->vni", cameras.cam_from_world[:, :3, :3], splats.means)
    centers = centers + cameras.cam_from_world[:, None, :3, 3]
    depths = centers[..., 2]
    in_front = depths >= NEAR
    # Splats behind the camera are not drawn, but a division by zero would give NaN gradients.
    safe = torch.where(in_front[..., None], centers, centers.new_tensor([0.0, 0.0, 1.0]))
    x, y, z = safe.unbind(-1)
    fx, fy, cx, cy = (cameras.K[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    means2d = torch.where(in_front[..., None], means2d, 0.0)

    slope_x = _clamp_to_frustum(x / z, cx / fx, cameras.width / fx)
    slope_y = _clamp_to_frustum(y / z, cy / fy, cameras.height / fy)
    zero = torch.zeros_like(z)
    row_x = torch.stack([fx / z, zero, -fx * slope_x / z], dim=-1)
    row_y = torch.stack([zero, fy / z, -fy * slope_y / z], dim=-1)
    jacobian = torch.stack([row_x, row_y], dim=-2)
    # A square root of the covariance, transformed by both linear maps.
    root = jacobian @ cam_from_world @ (matrices_from_quats(splats.quats) * splats.scales[:, None, :])
    covariances = root @ root.transpose(-1, -2) + BLUR_PX * torch.eye(2).to(root)
    xx, xy, yy = covariances[..., 0, 0], covariances[..., 0, 1], covariances[..., 1, 1]
    determinants = xx * yy - xy * xy
    invertible = determinants > 0  # fails by rounding only, for huge and thin splats
    conics = torch.stack([yy, -xy, xx], dim=-1) / torch.where(invertible, determinants, 1.0)[..., None]
    radii = _bounding_radii(means2d, torch.stack([xx, yy], dim=-1), splats.opacities, cameras.width, cameras.height)
    return Projected(means2d=means2d, conics=conics, depths=depths, radii=radii * (in_front & invertible))


def _clamp_to_frustum(
    slope: Float[Tensor, "v n"], before_center: Float[Tensor, "v 1"], across: Float[Tensor, "v 1"]
) -> Float[Tensor, "v n"]:
    """`x / z` clamped to the image and a margin, where the first-order expansion of the projection is accurate."""
    margin = FRUSTUM_MARGIN * across / 2
    return torch.minimum(torch.maximum(slope, -before_center - margin), across - before_center + margin)


@torch.no_grad()
def _bounding_radii(
    means2d: Float[Tensor, "v n 2"],
    variances: Float[Tensor, "v n 2"],
    opacities: Float[Tensor, " n"],
    width: int,
    height: int,
) -> Int[Tensor, "v n"]:
    """Radius in whole pixels beyond which alpha is below ALPHA_MIN; 0 for splats that touch no pixel.

    An ellipse at `extent` standard deviations reaches `extent * sqrt(variance)` along each axis, however it is rotated
    (Radl et al., StopThePop, 2024, app. B.2).
    """
    visible = opacities >= ALPHA_MIN
    extent = torch.sqrt(2 * torch.log((opacities / ALPHA_MIN).clamp_min(1.0))).clamp_max(EXTENT_MAX)
    reach = torch.ceil(extent[:, None] * torch.sqrt(variances))
    size = torch.tensor([width, height]).to(means2d)
    touches = ((means2d + reach > 0) & (means2d - reach < size)).all(dim=-1)
    return torch.where(touches & visible, reach.amax(dim=-1), 0.0).to(torch.int32)


def _front_to_back(depths: Float[Tensor, " n"], drawn: Bool[Tensor, " n"]) -> Int[Tensor, " m"]:
    """Indices of the drawn splats by rising depth; equal depths keep the order of the splats."""
    index = torch.nonzero(drawn)[:, 0]
    return index[torch.argsort(depths[index], stable=True)]


def _composite_image(
    means2d: Float[Tensor, "n 2"],
    conics: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    painted: Float[Tensor, "n c"],
    width: int,
    height: int,
) -> Float[Tensor, "h w c+1"]:
    """One image of splats sorted front to back, alpha as the last channel; a few pixel rows at a time to bound memory."""
    rows_at_once = max(1, CHUNK // (width * max(1, len(means2d))))
    bands = []
    for top in range(0, height, rows_at_once):
        rows = torch.arange(top, min(top + rows_at_once, height)).to(means2d) + 0.5
        columns = torch.arange(width).to(means2d) + 0.5
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        pixels = torch.stack([x, y], dim=-1).reshape(-1, 2)
        band = checkpoint(_composite, pixels, means2d, conics, opacities, painted, use_reentrant=False)
        bands.append(torch.as_tensor(band).reshape(len(rows), width, -1))
    return torch.cat(bands)


def _composite(
    pixels: Float[Tensor, "p 2"],
    means2d: Float[Tensor, "n 2"],
    conics: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    painted: Float[Tensor, "n c"],
) -> Float[Tensor, "p c+1"]:
    """Composited channels and accumulated alpha at each pixel center."""
    dx, dy = means2d[:, 0] - pixels[:, :1], means2d[:, 1] - pixels[:, 1:]
    xx, xy, yy = conics.unbind(-1)
    sigmas = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alphas = (opacities * torch.exp(-sigmas)).clamp_max(ALPHA_MAX)
    alphas = torch.where((sigmas >= 0) & (alphas >= ALPHA_MIN), alphas, 0.0)
    with torch.no_grad():
        # The splat that would reach TRANSMITTANCE_MIN is left out, with all splats behind it.
        reached = torch.cumprod(1 - alphas, dim=1) > TRANSMITTANCE_MIN
    alphas = torch.where(reached, alphas, 0.0)
    remaining = torch.cumprod(torch.cat([pixels.new_ones(len(pixels), 1), 1 - alphas], dim=1), dim=1)
    weights = alphas * remaining[:, :-1]
    return torch.cat([weights @ painted, 1 - remaining[:, -1:]], dim=1)
