"""The rasterizer for NVIDIA GPUs: gsplat's CUDA kernels (Ye et al., 2024).

gsplat projects and composites. Colors, depth and background are computed here, so that any number of channels works and only
the kernels can differ from the reference.
"""

from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.errors import BackendError
from splatpaint.render import reference
from splatpaint.render.protocol import BLUR_PX, NEAR, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.harmonics import colors_seen_from
from splatpaint.scene.splats import Splats

TILE_PX = 16
"""Side of the square of pixels that one thread block composites; the only size gsplat tests."""
CHANNELS_AT_ONCE = 32
"""Channels per launch; more would spill registers."""


def require_kernels() -> None:
    """Checks that gsplat's kernels can run; compiles them if needed (minutes, once per machine).

    Raises:
        BackendError: if torch sees no GPU, or the kernels neither come with gsplat nor can be compiled.
    """
    if not torch.cuda.is_available():
        raise BackendError(
            "the cuda rasterizer needs an NVIDIA GPU, and torch sees none here: install a CUDA build of torch and the driver, "
            "or choose the native rasterizer"
        )
    try:
        from gsplat.cuda._backend import _C  # pyright: ignore[reportAttributeAccessIssue] (defined in a try block)
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(
            "gsplat's CUDA kernels could not be compiled; install ninja and the CUDA toolkit of the version that torch was "
            f"built with ({torch.version.cuda}): {error}"
        ) from error
    if _C is None:
        raise BackendError(
            f"gsplat's CUDA kernels are not compiled and there is no nvcc to do it: install CUDA toolkit {torch.version.cuda}"
        )


def rasterize(
    splats: Splats,
    cameras: Cameras,
    *,
    features: Float[Tensor, "n c"] | None = None,
    background: Float[Tensor, " c"] | None = None,
) -> Rendered:
    """Renders every camera; see `render.protocol.Rasterizer`. All tensors are float32 on one GPU."""
    if len(splats) == 0:
        return reference.rasterize(splats, cameras, features=features, background=background)  # gsplat divides by the count
    from gsplat.cuda._wrapper import fully_fused_projection

    radii, means2d, depths, conics, _ = fully_fused_projection(
        splats.means,
        None,
        splats.quats,
        splats.scales,
        cameras.cam_from_world,
        cameras.K,
        cameras.width,
        cameras.height,
        eps2d=BLUR_PX,
        near_plane=NEAR,
        packed=False,
        opacities=splats.opacities,
    )
    drawn = (radii > 0).all(dim=-1)
    # The kernel leaves the entries of splats that are not drawn uninitialized, so they may hold anything, also NaN.
    means2d = torch.where(drawn[..., None], means2d, 0.0)
    depths = torch.where(drawn, depths, 0.0)
    conics = torch.where(drawn[..., None], conics, 0.0)

    painted = colors_seen_from(splats, cameras.centers) if features is None else features.expand(len(cameras), -1, -1)
    inverse_depths = 1 / depths.clamp_min(NEAR)
    painted = torch.cat([painted, inverse_depths[..., None]], dim=-1)
    layers, alpha = _composite(means2d, conics, splats.opacities, painted, radii, depths, cameras)
    color, inverse_depth = layers[:, :-1], layers[:, -1:]
    if background is not None:
        color = color + (1 - alpha) * background[:, None, None]
    depth = alpha / torch.where(alpha > 0, inverse_depth, 1.0)
    return Rendered(color=color, alpha=alpha, depth=depth, means2d=means2d, radii=radii.amax(dim=-1) * drawn)


def _composite(
    means2d: Float[Tensor, "v n 2"],
    conics: Float[Tensor, "v n 3"],
    opacities: Float[Tensor, " n"],
    painted: Float[Tensor, "v n c"],
    radii: Int[Tensor, "v n 2"],
    depths: Float[Tensor, "v n"],
    cameras: Cameras,
) -> tuple[Float[Tensor, "v c h w"], Float[Tensor, "v 1 h w"]]:
    """The painted channels (v c h w) and the accumulated alpha (v 1 h w)."""
    from gsplat.cuda._wrapper import isect_offset_encode, isect_tiles, rasterize_to_pixels

    views = len(cameras)
    across, down = ceil(cameras.width / TILE_PX), ceil(cameras.height / TILE_PX)
    _, pairs, ids = isect_tiles(means2d, radii, depths, TILE_PX, across, down)
    offsets = isect_offset_encode(pairs, views, across, down).reshape(views, down, across)
    chunks = []
    for channels in painted.split(CHANNELS_AT_ONCE, dim=-1):
        chunk, alpha = rasterize_to_pixels(
            means2d,
            conics,
            channels,
            opacities.expand(views, -1),
            cameras.width,
            cameras.height,
            TILE_PX,
            offsets,
            ids,
        )
        chunks.append(chunk)
    return torch.cat(chunks, dim=-1).permute(0, 3, 1, 2), alpha.permute(0, 3, 1, 2)
