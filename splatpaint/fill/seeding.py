"""A first fill: splats on the surface that the hole's surroundings suggest.

Disparity is affine in pixel coordinates on a plane, so its harmonic extension across a hole continues the planes around it
exactly. Views take turns (see fill/consensus.py); each adds splats only where the ones before left its hole uncovered, so the
views share one surface. A few lead; the others add what is left, but nothing before what those filled: what lies behind an
object at the border of a picture may be a hole of few views only. Nothing is put where many photos saw empty space, nor
before what a photo shows well away from its holes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from splatpaint.fill.consensus import DepthConsensus
from splatpaint.fill.views import ObservedView
from splatpaint.fit.seeding import round_splats
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import dilate, erode, ring
from splatpaint.masks.background import continued
from splatpaint.priors.depth import fitted_disparity
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate

LEAST_PX = 10
"""A view has no turn that has fewer pixels uncovered."""
BEYOND = 3.0
"""A seed that would have to go back to more than so many times its depth is dropped."""
HIDDEN_CLEAN_PX = 2
"""Where the fill hides something in no more than twice this many pixels, it is too ragged there to say so."""


@dataclass(frozen=True)
class SeedConfig:
    """How the fill starts."""

    views: int = 16
    """So many views lead. What they filled no seed of another may hide from them: the surface is theirs."""
    spacing_px: float = 1.0
    """Distance between seeds in the view that adds them."""
    opacity: float = 0.9
    depth: Literal["continued", "scattered"] = "continued"
    """Where along its ray a seed stands: on the surface that continues what surrounds the hole; or anywhere between the nearest
    and the farthest that is known, which says what the surface is worth."""
    min_alpha: float = 0.9
    """Kept depth counts as known where the kept splats are at least this opaque."""
    guide_boundary_px: int = 32
    """A guide is fitted to what is known this near to the hole."""
    min_view_support: float = 0.2
    """Where less than this share of the other views with the place in their holes guess the surface to be, seeds go last, and
    only if no view sees them before others. Asked if the views agree by and large (see fill/consensus.py), and not of seeds that
    a     guide shapes, or that are scattered."""
    carve_tolerance: float = 0.05
    """A view objects to a seed that stands nearer than the surface it saw there by more than this share of the depth."""
    carve_share: float = 0.25
    """No seed goes where more than this share of the views that have the place in the frame object."""
    carve_smooth_px: int = 4
    """Objections are averaged this far around: surfaces shall be carved in whole pieces, not perforated."""


Guide = Callable[[ObservedView], Float[Tensor, "1 1 h w"]]
"""Tells the shape of what would be painted into a view: disparity up to scale and shift."""
Surface = tuple[Cameras, Float[Tensor, "1 1 _ _"]]
"""What a camera sees: its z-depth, 0 where nothing is known."""


@torch.no_grad()
def seed_fill(
    views: Sequence[ObservedView],
    rasterizer: Rasterizer,
    config: SeedConfig,
    *,
    boundary_px: int,
    sh_degree: int,
    guide: Guide | None = None,
) -> Splats:
    """Round, nearly opaque splats over the holes, in the colors that diffuse in from around them; none if no view has a hole.

    Args:
        views: of the scene without the object; of each something is known.
        rasterizer: any.
        config: see there.
        boundary_px: what a photo shows farther than this from its holes no seed may hide. One that would goes back along its
            ray             until it is behind everything that photos show so.
        sh_degree: of the seeds.
        guide: asked for every view that has a turn; the surface is continued along what it tells, without one smoothly.
    """
    nothing = views[0].depth.new_zeros(0, 3)
    fill = round_splats(nothing, nothing, nothing[:, 0], opacity=config.opacity, sh_degree=sh_degree)
    depths = [extrapolated_fill_depth(view, torch.zeros_like(view.depth), config) for view in views]
    guesses = DepthConsensus(views, depths, tolerance=config.carve_tolerance)
    order = guesses.seeding_order()
    share = config.min_view_support if guide is None and config.depth == "continued" else 0.0
    shown = [shown_by(view, config) for view in views]
    clear = [(camera, depth * (1 - dilate(view.open, boundary_px))) for view, (camera, depth) in zip(views, shown, strict=True)]
    sower = FillSeeder(views, shown, clear, rasterizer, config, sh_degree, guide)
    nearer = 1 - config.carve_tolerance
    filled: list[Surface] = []
    left_out = False
    for place, index in enumerate(order):
        if place == config.views:
            filled = [filled_by(fill, views[each], rasterizer) for each in order[:place]]
        seeds = sower.seeds(index, fill)
        alone = guesses.alone(seeds.means, views[index], share=share)
        left_out |= bool(alone.any())
        fill = concatenate([fill, seeds[~((free_space_violation(seeds.means, filled, reach=nearer) > 0) | alone)]])
    if left_out:
        # A lonely guess is better than a hole that stays open, before which nothing is.
        filled = [filled_by(fill, view, rasterizer) for view in views]
        for index in order:
            seeds = sower.seeds(index, fill)
            fill = concatenate([fill, seeds[free_space_violation(seeds.means, filled, reach=nearer) == 0]])
    return fill


def shown_by(view: ObservedView, config: SeedConfig) -> Surface:
    """What a view's photo shows, as far as it is known how far that is: nothing where its hole is, or where others tell."""
    shown = (view.open == 0) & (view.seen > 0) & (view.alpha >= config.min_alpha)
    return view.camera, view.depth * shown


def filled_by(fill: Splats, view: ObservedView, rasterizer: Rasterizer) -> Surface:
    """What fills a view's hole already."""
    painted = rasterizer(fill, view.camera)
    return view.camera, painted.depth * ((view.open > 0) & (painted.alpha >= 0.5))


@torch.no_grad()
def add_occluded_holes(
    fill: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer, config: SeedConfig
) -> list[ObservedView]:
    """The views, their holes grown by what other views saw but the fill now hides.

    That somebody saw the floor does not say that from here no bed stands before it.
    """
    return [replace(view, hole=_with_hidden(view, rasterizer(fill, view.camera), config)) for view in views]


def _with_hidden(view: ObservedView, fill: Rendered, config: SeedConfig) -> Float[Tensor, "1 1 h w"]:
    nearer = (fill.alpha >= 0.5) & (fill.depth < (1 - config.carve_tolerance) * view.depth)
    hidden = nearer * (1 - view.seen)
    return torch.maximum(view.hole, dilate(erode(hidden, HIDDEN_CLEAN_PX), HIDDEN_CLEAN_PX))


@dataclass(frozen=True, eq=False)
class FillSeeder:
    """What the seeds of every view are chosen by."""

    views: Sequence[ObservedView]
    shown: Sequence[Surface]
    """By their photos."""
    clear: Sequence[Surface]
    """What of that nothing may hide."""
    rasterizer: Rasterizer
    config: SeedConfig
    sh_degree: int
    guide: Guide | None
    _colors: dict[int, Float[Tensor, "_ 3"]] = field(default_factory=dict, init=False)
    """By view, as they diffuse into its holes."""

    def seeds(self, index: int, fill: Splats) -> Splats:
        """Of one view, where its hole is not covered by the fill; few views object to any of them."""
        view, config = self.views[index], self.config
        painted = self.rasterizer(fill, view.camera)
        uncovered = (view.open > 0) & (painted.alpha < 0.5)
        if uncovered.sum() < LEAST_PX:
            return fill[:0]
        depth = self._surface(index, painted, uncovered)
        chosen = self._unopposed(view.camera, depth, uncovered & (depth > 0)) & _lattice(uncovered, config.spacing_px)
        footprint = config.spacing_px * depth[chosen] / view.camera.K[0, 0, 0]
        return round_splats(
            view.camera.unproject_where(depth, chosen),
            self._diffused(index)[chosen[view.open > 0]],
            0.8 * footprint,
            opacity=config.opacity,
            sh_degree=self.sh_degree,
        )

    def _diffused(self, index: int) -> Float[Tensor, "n 3"]:
        """The colors of the pixels of a view's holes; asked again when it has another turn."""
        if index not in self._colors:
            view = self.views[index]
            self._colors[index] = harmonic_fill(view.image, view.blind)[0].permute(1, 2, 0)[view.open[0, 0] > 0].clamp(0, 1)
        return self._colors[index]

    def _surface(self, index: int, painted: Rendered, uncovered: Bool[Tensor, "1 1 h w"]) -> Float[Tensor, "1 1 h w"]:
        """Depth in the view's hole, so far back where nothing covers it that nothing is hidden; 0 where there is none."""
        view, config = self.views[index], self.config
        told = self.guide(view) if self.guide is not None else None
        depth = extrapolated_fill_depth(view, painted.depth * (painted.alpha >= config.min_alpha), config, told)
        if config.depth == "scattered":
            depth = _scattered(depth, view, config, torch.Generator().manual_seed(index))
        return push_behind_observed(depth, uncovered & (depth > 0), view.camera, self.clear, config)

    def _unopposed(
        self, camera: Cameras, depth: Float[Tensor, "1 1 h w"], chosen: Bool[Tensor, "1 1 h w"]
    ) -> Bool[Tensor, "1 1 h w"]:
        """Those of the chosen pixels around which few views object to what would be put there."""
        config = self.config
        points = camera.unproject_where(depth, chosen)
        objections = torch.zeros_like(depth)
        objections[chosen] = free_space_violation(points, self.shown, reach=1 - config.carve_tolerance)
        side = 2 * config.carve_smooth_px + 1
        around = F.avg_pool2d(torch.cat([objections, chosen.to(depth)]), side, stride=1, padding=config.carve_smooth_px)
        return chosen & (around[:1] <= config.carve_share * around[1:])


def extrapolated_fill_depth(
    view: ObservedView, fill_depth: Float[Tensor, "1 1 h w"], config: SeedConfig, told: Float[Tensor, "1 1 h w"] | None = None
) -> Float[Tensor, "1 1 h w"]:
    """The view's depth with the hole closed by the harmonic extension of disparity, along what a guide told if there is one.

    Args:
        view: gives the kept depth around the hole.
        fill_depth: depth of splats that are in the hole already, 0 = none; the extension passes through it.
        config: says from which opacity on a depth is known.
        told: disparity up to scale and shift.
    """
    around = _known(view, config)
    within = (view.open > 0) & (fill_depth > 0)
    depth, known = torch.where(within, fill_depth, view.depth), around | within
    boundary = known & (ring(view.open, config.guide_boundary_px) > 0)
    if told is None or not boundary.any():
        return continued(depth, (~known).to(depth))
    return continued(depth, (~known).to(depth), fitted_disparity(told, 1 / depth.clamp_min(1e-6), boundary.to(depth)))


def push_behind_observed(
    depth: Float[Tensor, "1 1 h w"],
    chosen: Bool[Tensor, "1 1 h w"],
    camera: Cameras,
    clear: Sequence[Surface],
    config: SeedConfig,
) -> Float[Tensor, "1 1 h w"]:
    """The depth, where it is chosen increased until it hides nothing that must be seen, or 0 if that leads nowhere.

    Args:
        depth: of a view.
        chosen: where there is a depth that may be increased.
        camera: of the same view.
        clear: what must be seen.
        config: says by how much it is increased at a time.
    """
    found = depth.clone()
    hiding = chosen.clone()
    while hiding.any():
        points = camera.unproject_where(found, hiding)
        hiding[hiding.clone()] = free_space_violation(points, clear, reach=1 + config.carve_tolerance) > 0
        found[hiding] *= 1 + config.carve_tolerance
        lost = hiding & (found > BEYOND * depth)
        found[lost], hiding = 0.0, hiding & ~lost
    return found


def _scattered(
    depth: Float[Tensor, "1 1 h w"], view: ObservedView, config: SeedConfig, generator: torch.Generator
) -> Float[Tensor, "1 1 h w"]:
    """Wherever there is a depth another, of a disparity drawn uniformly from the range that the view knows around its hole."""
    disparity = 1 / view.depth[_known(view, config)]
    if not len(disparity):
        return depth
    share = torch.rand(depth.shape, generator=generator).to(depth)
    return torch.where(depth > 0, 1 / torch.lerp(disparity.min(), disparity.max(), share), depth)


def _known(view: ObservedView, config: SeedConfig) -> Bool[Tensor, "1 1 h w"]:
    return (view.open == 0) & (view.alpha >= config.min_alpha) & (view.depth > 0)


def free_space_violation(points: Float[Tensor, "n 3"], surfaces: Sequence[Surface], *, reach: float) -> Float[Tensor, " n"]:
    """Share of the cameras with the point in their frame that see something farther there.

    Args:
        points: in the world.
        surfaces: where nothing is known, there is nothing to object.
        reach: a camera objects to what is nearer than so many times the depth of what it sees.
    """
    objections = torch.zeros(len(points), device=points.device)
    looked = torch.zeros_like(objections)
    for camera, surface in surfaces:
        row, column, depth, within = camera.find(points)
        looked += within
        objections += within & (depth < reach * surface[0, 0, row, column])
    return objections / looked.clamp_min(1)


def _lattice(like: Tensor, spacing: float) -> Bool[Tensor, "1 1 h w"]:
    """True at about every `spacing`-th pixel along both axes."""
    height, width = like.shape[2:]

    def marks(length: int) -> Tensor:
        cells = (torch.arange(length, device=like.device) / spacing).floor()
        return torch.cat([cells.new_ones(1).bool(), cells[1:] != cells[:-1]])

    return (marks(height)[:, None] & marks(width)[None])[None, None]
