"""The rasterizer for CPUs: C++ kernels for several instruction sets (see `kernels/`).

There are three differentiable steps, so that projected centers are part of the graph and unneeded gradients are not computed:
`_Project` (splats to ellipses), `_Shade` (harmonics to colors) and `_Composite` (ellipses and paint to pixels).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from splatpaint import _kernels
from splatpaint.render.protocol import ALPHA_MAX, ALPHA_MIN, BLUR_PX, NEAR, TRANSMITTANCE_MIN, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats

LIMITS = _kernels.Limits(
    near_plane=NEAR, blur_px=BLUR_PX, alpha_min=ALPHA_MIN, alpha_max=ALPHA_MAX, transmittance_min=TRANSMITTANCE_MIN
)
TILE_SIDE = 32
"""Side of a tile in pixels, as in kernels.hpp."""
RECORD_GEOMETRY = 7
"""Floats per record besides paint: center, shape and depth."""
CACHE_LINE = 16
"""In floats. Records are aligned to cache lines, because compositing reads them in random order."""


def rasterize(
    splats: Splats,
    cameras: Cameras,
    *,
    features: Float[Tensor, "n c"] | None = None,
    background: Float[Tensor, " c"] | None = None,
) -> Rendered:
    """Renders every camera; see `render.protocol.Rasterizer`.

    The result and its gradients are bit-identical between runs and for any number of threads.

    Raises:
        TypeError: if a tensor is not float32 on the cpu.
        ValueError: if shapes do not fit together, K has a skew, or a camera requires a gradient (there is none for poses).
    """
    _check(splats, cameras, features, background)
    means2d, shapes, depths, radii, tiles = _Project.apply(
        splats.means, splats.quats, splats.log_scales, splats.logit_opacities, cameras
    )
    if features is None:
        paint = _Shade.apply(splats.sh, splats.means, cameras.centers.contiguous(), radii, splats.space == "rgb")
    else:
        paint = features[None]
    color, alpha, depth = _Composite.apply(means2d, shapes, depths, radii, tiles, paint, background, cameras)
    return Rendered(color=color, alpha=alpha, depth=depth, means2d=means2d, radii=radii)


def _check(splats: Splats, cameras: Cameras, features: Tensor | None, background: Tensor | None) -> None:
    given = splats.tensors() | {"K": cameras.K, "cam_from_world": cameras.cam_from_world}
    given |= {name: tensor for name, tensor in (("features", features), ("background", background)) if tensor is not None}
    for name, tensor in given.items():
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise TypeError(f"{name} is {tensor.dtype} on {tensor.device}: the native rasterizer takes float32 on the cpu")
    for name in ("K", "cam_from_world"):
        if given[name].requires_grad:
            raise ValueError(f"{name} requires a gradient: the native rasterizer has none for cameras, use the reference")
    if cameras.K[:, 0, 1].any():
        raise ValueError("K has a skew (K[0, 1] is not 0), which no rasterizer here draws: resample the images")
    if features is not None and (features.ndim != 2 or len(features) != len(splats)):
        raise ValueError(f"features have shape {tuple(features.shape)}, expected ({len(splats)}, channels)")
    channels = splats.sh.shape[2] if features is None else features.shape[1]
    if background is not None and background.shape != (channels,):
        raise ValueError(f"background has shape {tuple(background.shape)}, expected ({channels},)")


class _Project(torch.autograd.Function):
    """Splats to ellipses in every image.

    Returns `means2d` (v, n, 2), `shapes` (v, n, 4), `depths` (v, n) and, without gradients, `radii` (v, n) and a bound on the
    number of `tiles` (v, n) touched. A shape is a square root of the inverse covariance and the logarithm of the opacity, ready
    for compositing. By convention with `_Composite`, the gradient of `shapes` is replaced by that of (cov_xx, cov_xy,
    cov_yy, ln opacity), which avoids an inverse that is ill-conditioned for thin splats.
    """

    @staticmethod
    def forward(
        ctx: Any, means: Tensor, quats: Tensor, log_scales: Tensor, logit_opacities: Tensor, cameras: Cameras
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        splats = _gaussians(means, quats, log_scales, logit_opacities)
        v, n = len(cameras), len(means)
        means2d, shapes, depths = means.new_empty(v, n, 2), means.new_empty(v, n, 4), means.new_empty(v, n)
        radii, tiles = torch.empty(v, n, dtype=torch.int32), torch.empty(v, n, dtype=torch.int32)
        for view in range(v):
            _kernels.project(
                *splats,
                *_camera(cameras, view),
                LIMITS,
                means2d=means2d[view],
                shapes=shapes[view],
                depths=depths[view],
                radii=radii[view],
                tiles=tiles[view],
                threads=torch.get_num_threads(),
            )
        ctx.save_for_backward(*splats, radii)
        ctx.cameras = cameras
        ctx.mark_non_differentiable(radii, tiles)
        ctx.set_materialize_grads(False)
        return means2d, shapes, depths, radii, tiles

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, means2d_grad: Tensor | None, shapes_grad: Tensor | None, depths_grad: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        means, quats, log_scales, logit_opacities, radii = ctx.saved_tensors
        splats = (means, quats, log_scales, logit_opacities)
        grads = tuple(torch.zeros_like(tensor) for tensor in splats)
        means2d_grad = _or_zeros(means2d_grad, (*radii.shape, 2))
        shapes_grad = _or_zeros(shapes_grad, (*radii.shape, 4))
        depths_grad = _or_zeros(depths_grad, tuple(radii.shape))
        for view in range(len(ctx.cameras)):
            _kernels.project_backward(
                *splats,
                *_camera(ctx.cameras, view),
                LIMITS,
                radii=radii[view],
                means2d_grad=means2d_grad[view],
                shapes_grad=shapes_grad[view],
                depths_grad=depths_grad[view],
                means_out=grads[0],
                quats_out=grads[1],
                log_scales_out=grads[2],
                logit_opacities_out=grads[3],
                threads=torch.get_num_threads(),
            )
        return *grads, None


class _Shade(torch.autograd.Function):
    """Harmonics to colors (v, n, c); undefined for splats that are not drawn."""

    @staticmethod
    def forward(ctx: Any, sh: Tensor, means: Tensor, centers: Tensor, radii: Tensor, rgb: bool) -> Tensor:
        sh, means = sh.detach().contiguous(), means.detach().contiguous()
        colors = sh.new_empty(len(centers), len(sh), sh.shape[2])
        for view, center in enumerate(centers):
            _kernels.shade(sh, means, center, radii[view], rgb, colors=colors[view], threads=torch.get_num_threads())
        ctx.save_for_backward(sh, means, centers, radii, colors)
        ctx.rgb = rgb
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, colors_grad: Tensor) -> tuple[Tensor | None, ...]:
        sh, means, centers, radii, colors = ctx.saved_tensors
        wants_sh, wants_means = ctx.needs_input_grad[:2]
        sh_grad = torch.zeros_like(sh) if wants_sh else None
        means_grad = torch.zeros_like(means) if wants_means and sh.shape[1] > 1 else None
        colors_grad = colors_grad.contiguous()
        for view, center in enumerate(centers):
            _kernels.shade_backward(
                sh,
                means,
                center,
                radii[view],
                ctx.rgb,
                colors=colors[view],
                colors_grad=colors_grad[view],
                sh_out=sh_grad,
                means_out=means_grad,
                threads=torch.get_num_threads(),
            )
        return sh_grad, means_grad, None, None, None


@dataclass(frozen=True, eq=False)
class _Lists:
    """The splats of every tile, front to back; see rasterizer.hpp."""

    records: Tensor
    first_slots: Tensor
    offsets: Tensor
    splats: Tensor
    blocks: Tensor
    slots: Tensor


class _Composite(torch.autograd.Function):
    """Ellipses and paint (v or 1, n, c) to color (v, c, h, w), alpha and depth (v, 1, h, w)."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        shapes: Tensor,
        depths: Tensor,
        radii: Tensor,
        tiles: Tensor,
        paint: Tensor,
        background: Tensor | None,
        cameras: Cameras,
    ) -> tuple[Tensor, Tensor, Tensor]:
        means2d, shapes, depths, paint = (t.detach().contiguous() for t in (means2d, shapes, depths, paint))
        v, h, w, c = len(cameras), cameras.height, cameras.width, paint.shape[2]
        color, alpha, depth = paint.new_empty(v, c, h, w), paint.new_empty(v, 1, h, w), paint.new_empty(v, 1, h, w)
        behind = None if background is None else background.detach().contiguous()
        saved = []
        for view in range(v):
            ellipses = (means2d[view], shapes[view], depths[view], radii[view], tiles[view])
            lists = _bin(*ellipses, _of_view(paint, view), w, h)
            stops = torch.empty(len(lists.offsets) - 1, dtype=torch.int32)
            _kernels.composite(
                lists.records,
                lists.offsets,
                lists.splats,
                lists.blocks,
                LIMITS,
                behind,
                color=color[view],
                alpha=alpha[view, 0],
                depth=depth[view, 0],
                stops=stops,
                threads=torch.get_num_threads(),
            )
            saved += [stops, *vars(lists).values()]
        ctx.save_for_backward(color, alpha, depth, *saved)
        ctx.paint_shape, ctx.splats = paint.shape, len(paint[0])
        ctx.set_materialize_grads(False)
        return color, alpha, depth

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, color_grad: Tensor | None, alpha_grad: Tensor | None, depth_grad: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        color, alpha, depth, *saved = ctx.saved_tensors
        geometry, wants_paint, wants_background = (ctx.needs_input_grad[i] for i in (0, 5, 6))
        grads = [None if g is None else g.contiguous() for g in (color_grad, alpha_grad, depth_grad)]
        background_grad = None
        if wants_background and color_grad is not None:
            background_grad = (color_grad * (1 - alpha)).sum(dim=(0, 2, 3))
        if not geometry:  # alpha and depth do not depend on paint
            grads[1:] = [None, None]
        wanted = any(g is not None for g in grads) and (geometry or wants_paint)
        if not wanted:
            return None, None, None, None, None, None, background_grad, None
        v, n = len(color), ctx.splats
        means2d_grad = color.new_empty(v, n, 2) if geometry else None
        shapes_grad = color.new_empty(v, n, 4) if geometry else None
        depths_grad = color.new_empty(v, n) if geometry else None
        paint_grad = color.new_empty(ctx.paint_shape) if wants_paint and grads[0] is not None else None
        channels = (color.shape[1] if grads[0] is not None else 0) + (grads[2] is not None)
        for view in range(v):
            stops, *lists = saved[7 * view : 7 * view + 7]
            lists = _Lists(*lists)
            _kernels.composite_backward(
                lists.records,
                lists.offsets,
                lists.splats,
                lists.blocks,
                LIMITS,
                first_slots=lists.first_slots,
                slots=lists.slots,
                color=color[view],
                alpha=alpha[view, 0],
                depth=depth[view, 0],
                stops=stops,
                color_grad=None if grads[0] is None else grads[0][view],
                alpha_grad=None if grads[1] is None else grads[1][view, 0],
                depth_grad=None if grads[2] is None else grads[2][view, 0],
                partials=color.new_empty(len(lists.splats) * -(-(channels + 6 * geometry) // 4) * 4),
                means2d_out=None if means2d_grad is None else means2d_grad[view],
                shapes_out=None if shapes_grad is None else shapes_grad[view],
                depths_out=None if depths_grad is None else depths_grad[view],
                paint_out=None if paint_grad is None else _of_view(paint_grad, view),
                add_paint=view > 0 and ctx.paint_shape[0] == 1,
                threads=torch.get_num_threads(),
            )
        return means2d_grad, shapes_grad, depths_grad, None, None, paint_grad, background_grad, None


def _gaussians(*splats: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    means, quats, log_scales, logit_opacities = (tensor.detach().contiguous() for tensor in splats)
    return means, quats, log_scales, logit_opacities


def _or_zeros(grad: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(shape) if grad is None else grad.contiguous()


def _camera(cameras: Cameras, view: int) -> tuple[Tensor, Tensor, int, int]:
    return cameras.K[view].contiguous(), cameras.cam_from_world[view].contiguous(), cameras.width, cameras.height


def _of_view(paint: Tensor, view: int) -> Tensor:
    return paint[view if len(paint) > 1 else 0]


def _bin(
    means2d: Tensor, shapes: Tensor, depths: Tensor, radii: Tensor, tiles: Tensor, paint: Tensor, width: int, height: int
) -> _Lists:
    n, bound = len(means2d), int(tiles.sum())
    if bound >= 2**31:
        raise ValueError(f"the splats touch up to {bound} tiles together, more than the {2**31 - 1} that can be listed")
    stride = -(-(RECORD_GEOMETRY + paint.shape[1]) // CACHE_LINE) * CACHE_LINE
    tile_count = -(-width // TILE_SIDE) * -(-height // TILE_SIDE)
    sizes = {"first_slots": n + 1, "offsets": tile_count + 1, "splats": bound, "slots": bound}
    room = {name: torch.empty(size, dtype=torch.int32) for name, size in sizes.items()}
    room |= {"records": torch.empty(n, stride), "blocks": torch.empty(bound, dtype=torch.uint64)}
    used = _kernels.bin(
        means2d, shapes, depths, radii, tiles, paint, width, height, LIMITS, **room, threads=torch.get_num_threads()
    )
    return _Lists(**{name: tensor[:used] if name in ("splats", "blocks", "slots") else tensor for name, tensor in room.items()})
