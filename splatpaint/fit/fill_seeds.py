"""A first fill: splats on the surface that the hole's surroundings suggest.

Disparity is affine in pixel coordinates on a plane, so its harmonic extension across a hole continues the planes around it
exactly. Views take turns, the one with the largest hole first; each adds splats only where the ones before left its hole
uncovered, so the views share one surface. What then stands in space that some photo looked through is carved away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fit.seeding import round_splats
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.masks.background import continued
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate


@dataclass(frozen=True)
class SeedConfig:
    """How the fill starts."""

    views: int = 16
    """At most this many views add splats."""
    spacing_px: float = 1.5
    """Distance between seeds in the view that adds them."""
    opacity: float = 0.9
    min_alpha: float = 0.7
    """Kept depth counts as known where the kept splats are at least this opaque."""
    carve_tolerance: float = 0.05
    """A seed is in the way if it stands nearer than the surface seen behind it by more than this share of the depth."""
    carve_share: float = 0.5
    """Seeds go that are in the way of more than this share of the views that know what is there."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """One view without the object."""

    camera: Cameras
    image: Float[Tensor, "1 3 h w"]
    """The photo, or the kept splats where the object hid them; meaningless inside the hole."""
    hole: Float[Tensor, "1 1 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth of the kept splats."""
    alpha: Float[Tensor, "1 1 h w"]
    """Their accumulated opacity."""


@torch.no_grad()
def seed_fill(views: Sequence[Surroundings], rasterizer: Rasterizer, config: SeedConfig, *, sh_degree: int) -> Splats:
    """Round, nearly opaque splats over the holes, in the colors that diffuse in from around them.

    Empty if no view has a hole.
    """
    largest = sorted(range(len(views)), key=lambda index: -float(views[index].hole.sum()))
    nothing = views[0].depth.new_zeros(0, 3)
    fill = round_splats(nothing, nothing, nothing[:, 0], opacity=config.opacity, sh_degree=sh_degree)
    for index in largest[: config.views]:
        if views[index].hole.any():
            fill = concatenate([fill, _seeds_of_view(views[index], fill, rasterizer, config, sh_degree)])
            fill = fill[~in_the_way(fill.means, views, config)]
    return fill


def _seeds_of_view(view: Surroundings, fill: Splats, rasterizer: Rasterizer, config: SeedConfig, sh_degree: int) -> Splats:
    painted = rasterizer(fill, view.camera)
    uncovered = (view.hole > 0) & (painted.alpha < 0.5)
    depth = continued_depth(view, painted.depth * (painted.alpha >= config.min_alpha), config)
    colors = harmonic_fill(view.image, view.hole)
    chosen = uncovered & _lattice(uncovered, config.spacing_px) & (depth > 0)
    points = view.camera.unproject(depth)[0][chosen[0, 0]]
    footprint = config.spacing_px * depth[chosen] / view.camera.K[0, 0, 0]
    return round_splats(
        points,
        colors[0].permute(1, 2, 0)[chosen[0, 0]].clamp(0, 1),
        0.8 * footprint,
        opacity=config.opacity,
        sh_degree=sh_degree,
    )


def continued_depth(view: Surroundings, fill_depth: Float[Tensor, "1 1 h w"], config: SeedConfig) -> Float[Tensor, "1 1 h w"]:
    """The view's depth with the hole closed by the harmonic extension of disparity.

    Args:
        view: gives the kept depth around the hole.
        fill_depth: depth of splats that are in the hole already, 0 = none; the extension passes through it.
        config: says from which opacity on a depth is known.
    """
    around = (view.hole == 0) & (view.alpha >= config.min_alpha) & (view.depth > 0)
    within = (view.hole > 0) & (fill_depth > 0)
    return continued(torch.where(within, fill_depth, view.depth), (~(around | within)).to(fill_depth))


def in_the_way(points: Float[Tensor, "n 3"], views: Sequence[Surroundings], config: SeedConfig) -> Bool[Tensor, " n"]:
    """Points in space that most photos of it saw to be empty: something farther was visible there, outside any hole."""
    objections = torch.zeros(len(points), device=points.device)
    opinions = torch.zeros_like(objections)
    for view in views:
        pixels, depth = view.camera.project(points)
        column, row = pixels[0].floor().long().unbind(-1)
        within = (depth[0] > 0) & (column >= 0) & (column < view.camera.width) & (row >= 0) & (row < view.camera.height)
        row, column = row.clamp(0, view.camera.height - 1), column.clamp(0, view.camera.width - 1)
        knows = within & (view.hole[0, 0, row, column] == 0) & (view.alpha[0, 0, row, column] >= config.min_alpha)
        opinions += knows
        objections += knows & (depth[0] < (1 - config.carve_tolerance) * view.depth[0, 0, row, column])
    return objections > config.carve_share * opinions


def _lattice(like: Tensor, spacing: float) -> Bool[Tensor, "1 1 h w"]:
    """True at about every `spacing`-th pixel along both axes."""
    height, width = like.shape[2:]

    def marks(length: int) -> Tensor:
        cells = (torch.arange(length, device=like.device) / spacing).floor()
        return torch.cat([cells.new_ones(1).bool(), cells[1:] != cells[:-1]])

    return (marks(height)[:, None] & marks(width)[None])[None, None]
