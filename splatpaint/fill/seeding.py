"""The first splats of a fill, on the surface that the surroundings of the holes suggest.

Disparity is affine in pixel coordinates on a plane, so its harmonic extension across a hole continues the planes around it
exactly. Views take turns (see consensus.py); each adds splats only where those before it left its hole uncovered, so the views
share one surface. The first views lead; the others add what is left, but nothing that occludes what the leading ones filled:
what lies behind an object at the image border may be a hole of few views only. No seed goes where many photos saw free space,
nor before what a photo shows well away from its holes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from splatpaint.fill.consensus import DepthConsensus
from splatpaint.fill.views import THIS_PHOTO, ObservedView
from splatpaint.fit.seeding import round_splats
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import dilate, erode, ring
from splatpaint.masks.background import extrapolate_depth
from splatpaint.masks.lift import Region, rendered_share
from splatpaint.masks.visibility import OCCLUDES, SAME_SURFACE, SURFACE, VISIBLE, DepthView, free_space_violation
from splatpaint.priors.depth import fitted_disparity
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.scene.views import spread

OPACITY = 0.9
"""Of a seed."""
SIZE = 0.8
"""Standard deviation of a seed, in pixels of the view that adds it. There is one seed a pixel."""
BEFORE_KEPT = 0.01
"""Where kept splats reach into a hole and are opaque there, the fill starts before them by this share of the depth."""
MIN_AREA_PX = 10
"""A view has no turn that has fewer pixels uncovered; pixels of a 480-px image."""
HINT_BOUNDARY_PX = 32
"""A depth hint is fitted to the depth known this near to the hole; pixels of a 480-px image."""
MISPLACED = 0.3
"""Fill splats are misplaced that have no more than this share of their rendered weight in fill regions: a seed that is right
from afar may be before the lens of a nearer camera."""
MAX_PUSH = 3.0
"""A seed that would have to be pushed back to more than so many times its depth is dropped."""
NEARER = 0.02
"""A point is nearer than a surface if its depth is smaller by more than this share."""
ANOTHER_SURFACE = 0.25
"""What is farther by more than this share of the depth is another surface."""
MAX_ASKED = 32
"""Views that are asked what they see, evenly spread."""
MAX_VIOLATION = 0.25
"""No seed goes where more than this share of the views that have it in their frame see something farther."""
SMOOTH_PX = 4
"""Violations are averaged this far around, so that surfaces are carved in whole pieces; pixels of a 480-px image."""
CLEAN_PX = 2
"""The fill occludes a region only if it does so over more than twice this width; pixels of a 480-px image."""


@dataclass(frozen=True)
class SeedConfig:
    """How the fill starts."""

    RENAMED: ClassVar[dict[str, str]] = {
        "borne_out": "inpaint.seed.min_view_support",
        "spacing_px": "",
        "opacity": "",
        "depth": "",
        "min_alpha": "",
        "guide_rim_px": "",
        "carve_tolerance": "",
        "carve_share": "",
        "carve_smooth_px": "",
    }

    views: int = 16
    """Number of views that lead. Seeds of other views may not occlude what these filled."""
    min_view_support: float = 0.2
    """A seed that less than this share of the other views with the point in their hole support goes last, and only where it
    occludes no other seed. 0 where few views see the hole. Without consensus, or with a depth hint, it has no effect."""


DepthHint = Callable[[ObservedView], Float[Tensor, "1 1 h w"]]
"""Disparity, up to scale and shift, of what would be painted into a view."""


@torch.no_grad()
def seed_fill(
    views: Sequence[ObservedView],
    rasterizer: Rasterizer,
    config: SeedConfig,
    *,
    boundary_px: int | float,
    sh_degree: int,
    hint: DepthHint | None = None,
) -> Splats:
    """Round, nearly opaque splats over the holes, in the colors that diffuse in from around them; none if no view has a hole.

    Args:
        views: of the scene without the object; of each something is known.
        rasterizer: any.
        config: see there.
        boundary_px: no seed may occlude what a photo shows farther than this from its holes; pixels of a 480-px image. One
            that would is pushed back along its ray until it is behind everything that photos show there.
        sh_degree: of the seeds.
        hint: asked for every view that has a turn: the surface follows its shape. Without one it is continued smoothly.
    """
    nothing = views[0].depth.new_zeros(0, 3)
    fill = round_splats(nothing, nothing, nothing[:, 0], opacity=OPACITY, sh_degree=sh_degree)
    kept = [kept_surface(view) for view in views]
    depths = [
        extrapolated_fill_depth(view, surface, torch.zeros_like(view.depth)) for view, surface in zip(views, kept, strict=True)
    ]
    consensus = DepthConsensus(views, depths)
    del depths
    order = consensus.seeding_order()
    min_support = config.min_view_support if hint is None else 0.0
    seeder = FillSeeder(views, kept, rasterizer, boundary_px=boundary_px, sh_degree=sh_degree, hint=hint)
    filled: list[DepthView] = []
    any_left_out = False
    for place, index in enumerate(order):
        if place == config.views:
            filled = [filled_surface(fill, views[each], rasterizer) for each in order[:place]]
        seeds = seeder.seeds(index, fill)
        left_out = consensus.low_support(seeds.means, views[index], min_view_support=min_support)
        any_left_out |= bool(left_out.any())
        fill = concatenate([fill, seeds[~(occludes_any(seeds, filled) | left_out)]])
    if any_left_out:
        # A surface that one view alone expects is better than a hole that stays open.
        filled = [filled_surface(fill, view, rasterizer) for view in views]
        for index in order:
            seeds = seeder.seeds(index, fill)
            fill = concatenate([fill, seeds[~occludes_any(seeds, filled)]])
    return fill


def observed_surface(view: ObservedView) -> DepthView:
    """What a view's photo shows, where its depth is known: not in its fill region, nor where only other views observed it."""
    return view.depth_where(~view.in_fill_region & (view.observed > 0) & (view.alpha >= SURFACE))


def protected_surfaces(views: Sequence[ObservedView], *, boundary_px: int | float) -> list[DepthView]:
    """What the photos show farther than `boundary_px`, pixels of a 480-px image, from the holes, where its depth is known."""
    surfaces = ((view, observed_surface(view)) for view in views)
    return [
        DepthView(each.camera, each.depth * (dilate(view.fill_region, view.camera.px(boundary_px)) == 0))
        for view, each in surfaces
    ]


def kept_surface(view: ObservedView) -> DepthView:
    """The surface of the kept splats around a view's hole, and inside where it goes on.

    What a hole shows far behind the surface around it was never seen: the training left it there, and a fill on it would lie
    in a pit.
    """
    opaque = (view.alpha >= SURFACE) & (view.depth > 0)
    around = opaque & ~view.in_fill_region
    extended = extrapolate_depth(view.depth, (~around).to(view.depth))
    goes_on = (view.depth - extended).abs() <= SAME_SURFACE * extended
    return view.depth_where(around | (opaque & goes_on))


def filled_surface(fill: Splats, view: ObservedView, rasterizer: Rasterizer) -> DepthView:
    """What fills a view's hole already."""
    rendered = rasterizer(fill, view.camera)
    return DepthView(view.camera, rendered.depth * (view.in_fill_region & (rendered.alpha >= VISIBLE)))


def occludes_any(splats: Splats, surfaces: Sequence[DepthView]) -> Bool[Tensor, " n"]:
    """Splats whose centers occlude any of the surfaces."""
    return free_space_violation(splats.means, surfaces, nearer=1 - OCCLUDES) > 0


@torch.no_grad()
def add_occluded_holes(fill: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer) -> list[ObservedView]:
    """The views, their holes grown by what other views observed but the fill now occludes.

    A floor that others observed behind a bed does not say that the bed ends before it.
    """
    return [view.with_maps(unobserved=_with_occluded(view, rasterizer(fill, view.camera))) for view in views]


def _with_occluded(view: ObservedView, fill: Rendered) -> Float[Tensor, "1 1 h w"]:
    nearer = (fill.alpha >= VISIBLE) & (fill.depth < (1 - OCCLUDES) * view.depth)
    occluded, clean_px = nearer * (1 - view.observed), view.camera.px(CLEAN_PX)
    return torch.maximum(view.unobserved, dilate(erode(occluded, clean_px), clean_px))


class FillSeeder:
    """Makes the seeds of one view after another."""

    def __init__(
        self,
        views: Sequence[ObservedView],
        kept: Sequence[DepthView],
        rasterizer: Rasterizer,
        *,
        boundary_px: int | float,
        sh_degree: int,
        hint: DepthHint | None,
    ) -> None:
        """See `seed_fill`; `kept` has the surface of the kept splats for every view."""
        self.views, self.rasterizer = views, rasterizer
        self.sh_degree, self.hint = sh_degree, hint
        self._observed = [observed_surface(view) for view in views]
        self._protected = protected_surfaces(views, boundary_px=boundary_px)
        self._kept = kept
        self._asked = spread(list(zip(views, kept, strict=True)), MAX_ASKED)
        self._colors: dict[int, Float[Tensor, "_ 3"]] = {}

    def seeds(self, index: int, fill: Splats) -> Splats:
        """Seeds of one view where the fill does not cover its hole, and few views see something farther."""
        view = self.views[index]
        rendered = self.rasterizer(fill, view.camera)
        uncovered = view.in_fill_region & (rendered.alpha < VISIBLE)
        if uncovered.sum() < MIN_AREA_PX * view.camera.px(1) ** 2:
            return fill[:0]
        hint = self.hint(view) if self.hint is not None else None
        depth = extrapolated_fill_depth(view, self._kept[index], rendered.depth * (rendered.alpha >= SURFACE), hint)
        depth = no_nearer_than_most(depth, uncovered & (depth > 0), view.camera, [kept for _, kept in self._asked])
        depth = push_behind_observed(depth, uncovered & (depth > 0), view.camera, self._protected)
        chosen = self._in_free_space(view, depth, uncovered & (depth > 0))
        chosen[chosen.clone()] = ~self._known_to_most(view.camera.unproject_where(depth, chosen))
        footprint = depth[chosen] / view.camera.K[0, 0, 0]
        return round_splats(
            view.camera.unproject_where(depth, chosen),
            self._diffused(index)[chosen[view.in_fill_region]],
            SIZE * footprint,
            opacity=OPACITY,
            sh_degree=self.sh_degree,
        )

    def _known_to_most(self, points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Points where most of the views that the object hid them from know from other photos what is there."""
        balance = torch.zeros(len(points), dtype=torch.long, device=points.device)
        for view, kept in self._asked:
            sighting = kept.sight(points)
            hidden = sighting.in_frame & (sighting.at(view.source) != THIS_PHOTO)
            balance += torch.where(sighting.at(view.in_fill_region), -1, 1) * hidden
        return balance > 0

    def _diffused(self, index: int) -> Float[Tensor, "n 3"]:
        """Colors of the pixels of a view's fill region, diffused in from around; kept for the view's next turn."""
        if index not in self._colors:
            view = self.views[index]
            filled = harmonic_fill(view.image, view.unknown)[0].permute(1, 2, 0)
            self._colors[index] = filled[view.in_fill_region[0, 0]].clamp(0, 1)
        return self._colors[index]

    def _in_free_space(
        self, view: ObservedView, depth: Float[Tensor, "1 1 h w"], chosen: Bool[Tensor, "1 1 h w"]
    ) -> Bool[Tensor, "1 1 h w"]:
        """Those of the chosen pixels around which few views see something farther than the depth."""
        violation = torch.zeros_like(depth)
        points = view.camera.unproject_where(depth, chosen)
        violation[chosen] = free_space_violation(points, self._observed, nearer=1 - OCCLUDES)
        reach = round(view.camera.px(SMOOTH_PX))
        around = F.avg_pool2d(torch.cat([violation, chosen.to(depth)]), 2 * reach + 1, stride=1, padding=reach)
        return chosen & (around[:1] <= MAX_VIOLATION * around[1:])


def extrapolated_fill_depth(
    view: ObservedView,
    kept: DepthView,
    fill_depth: Float[Tensor, "1 1 h w"],
    hint: Float[Tensor, "1 1 h w"] | None = None,
) -> Float[Tensor, "1 1 h w"]:
    """The view's z-depth, closed over its hole: right before kept splats where their surface reaches inside, since all views
    share it; elsewhere by the harmonic extension of disparity.

    Args:
        view: the view.
        kept: its `kept_surface`, which takes an extension of its own and is needed more than once.
        fill_depth: z-depth of the fill that is in the hole already, 0 = none; the extension passes through it.
        hint: disparity up to scale and shift whose shape the extension follows.
    """
    filled = view.in_fill_region & (fill_depth > 0)
    surface = kept.depth.float()
    before = torch.where(view.in_fill_region, (1 - BEFORE_KEPT) * surface, surface)
    depth = torch.where(filled, fill_depth, before)
    known = depth > 0
    boundary = known & (ring(view.fill_region, view.camera.px(HINT_BOUNDARY_PX)) > 0)
    if hint is None or not boundary.any():
        return extrapolate_depth(depth, (~known).to(depth))
    fitted = fitted_disparity(hint, 1 / depth.clamp_min(1e-6), boundary.to(depth))
    return extrapolate_depth(depth, (~known).to(depth), fitted)


def push_behind_observed(
    depth: Float[Tensor, "1 1 h w"], chosen: Bool[Tensor, "1 1 h w"], camera: Cameras, observed: Sequence[DepthView]
) -> Float[Tensor, "1 1 h w"]:
    """The depth, increased at the chosen pixels until nothing observed is occluded; 0 where that leads too far.

    Args:
        depth: z-depth in the view, world units.
        chosen: where it may be increased.
        camera: of the depth, a batch of one.
        observed: surfaces that must stay visible.
    """
    found = depth.clone()
    occluding = chosen.clone()
    while occluding.any():
        points = camera.unproject_where(found, occluding)
        occluding[occluding.clone()] = free_space_violation(points, observed, nearer=1 + OCCLUDES) > 0
        found[occluding] *= 1 + OCCLUDES
        lost = occluding & (found > MAX_PUSH * depth)
        found[lost], occluding = 0.0, occluding & ~lost
    return found


def no_nearer_than_most(
    depth: Float[Tensor, "1 1 h w"], chosen: Bool[Tensor, "1 1 h w"], camera: Cameras, kept: Sequence[DepthView]
) -> Float[Tensor, "1 1 h w"]:
    """The depth, increased at the chosen pixels until most views have it no nearer than the kept splats they see there.

    A close-up may be wrong about the depth of a plain surface by a tenth, and leads since its hole is large; what most views
    see is right. Depth stays where that takes more than `ANOTHER_SURFACE`: then the kept splats are of something else.

    Args:
        depth: z-depth in the view, world units.
        chosen: where it may be increased.
        camera: of the depth, a batch of one.
        kept: what all views see of the kept splats, in their holes too.
    """
    factor, nearer = torch.ones_like(depth), chosen.clone()
    step = 1 + NEARER
    while nearer.any():
        points = camera.unproject_where(factor * depth, nearer)
        nearer[nearer.clone()] = free_space_violation(points, kept, nearer=1 - NEARER) > 0.5
        factor[nearer] *= step
        lost = nearer & (factor > 1 + ANOTHER_SURFACE)
        factor[lost], nearer = 1.0, nearer & ~lost
    return factor * depth


@torch.no_grad()
def misplaced_fill(fill: Splats, kept: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer) -> Bool[Tensor, " n"]:
    """Fill splats that show mainly where photos show something else, or nowhere, in a scene with the kept ones."""
    regions = (Region(view.camera, view.fill_region, torch.maximum(view.fill_region, view.observed)) for view in views)
    return rendered_share(concatenate([kept, fill]), regions, rasterizer)[len(kept) :] <= MISPLACED
