"""What each crop shall look like in a round: as the prior paints it beside the present scene, or as the finish paints it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.events import Events, Progressed
from splatpaint.fill.config import STAGE, FillConfig, strength_of_round
from splatpaint.fill.consensus import area_in_context
from splatpaint.fill.crops import Target, TrainingCrop
from splatpaint.fill.references import ReferenceView, nearest_first, reference_for, warped_for
from splatpaint.fill.tools import Tools
from splatpaint.fill.views import ObservedView
from splatpaint.fill.ways import HolePainter, Way
from splatpaint.image.region import dilate
from splatpaint.image.shift_map import GUIDE_DECAY_PX
from splatpaint.masks.visibility import as_half
from splatpaint.priors.cloning import poisson_clone
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.protocol import PriorQuery, Reference
from splatpaint.render.protocol import Rendered
from splatpaint.scene.splats import Splats
from splatpaint.streams import generator, stream_seed

MAX_WARPS = 3
"""Number of painted views that a hole is prefilled from, at most."""
BOUNDARY_PX = 8
"""Width around a hole in which a warped view must match the image; pixels of a 480-px image."""
MIN_MATCH = 0.25
"""A view is warped only if it matches this share of the boundary of the hole."""
MAX_DIFFERENCE = 0.1
"""Mean absolute difference of colors up to which a pixel matches."""
MIN_OBSERVED = 0.01
"""Share of a view that counts as observed at least: of views that are no photos, which observe nothing, the one with the
largest hole comes first."""


def generate_targets(
    views: Sequence[ObservedView],
    crops: Sequence[TrainingCrop],
    kept: Splats,
    scene: Splats,
    tools: Tools,
    config: FillConfig,
    *,
    number: int,
    finish: Way | None,
) -> Events[list[Target]]:
    """The targets of a round, one a crop.

    In the hole a target is what the scene shows there now, noised and denoised by the prior; the last round paints it as
    `finish` says.

    Args:
        views: all of them.
        crops: the parts to be trained.
        kept: the kept splats, as they were.
        scene: all splats as they are now.
        tools: prior, rasterizer, depth network and seed.
        config: see there.
        number: of the round, from 0.
        finish: how the last round paints, from `choose_finish`; None: by the prior, as the rounds before.
    """
    strength = strength_of_round(number, config)
    way = finish if number == config.rounds - 1 else None
    beside_context = config.reference == "context_view" and way is None
    # After the first round the rendering holds what the views agree on; a smooth fill has no detail to be carried over.
    use_warps = (way is not None and way.kind != "smooth") or (config.reference == "warp" and number == 0)
    order = list(range(len(crops)))
    if beside_context or use_warps:
        order = nearest_first([views[crop.view].camera for crop in crops], [worth_as_first(views[crop.view]) for crop in crops])
    references: dict[int, ReferenceView] = {}
    if beside_context:
        for place in order:
            view = views[crops[place].view]
            references[place] = reference_view(view, _rendered(scene, view, tools))
    targets: dict[int, Target] = {}
    for done, place in enumerate(order):
        crop = crops[place]
        view = views[crop.view]
        rendered = _rendered(scene, view, tools)
        current = rendered.color.clamp(0, 1)
        query = picture_to_paint(view, current, number=number)
        if use_warps:
            query = prefill_by_warping(query, reference_view(view, rendered), [references[each] for each in order[:done]])
        if beside_context:
            others = [references[each] for each in order if each != place]
            query = replace(query, reference=reference_for(references[place], view.unobserved, others))
        noise = generator(tools.seed, round=number, view=crop.view)
        painted = current
        if number == 0 or way is None:
            # Before a finish only colors and shape matter: one step gives the mean of all that is plausible.
            steps = 1 if finish is not None else max(1, round(config.denoise_steps * strength))
            painted = paint(tools.prior, query, start=current, strength=strength, steps=steps, generator=noise)
        if way is not None:
            seed = stream_seed(tools.seed, round=number, view=crop.view)
            painter = HolePainter(query, view.observed, painted, seed, view.camera.px(GUIDE_DECAY_PX))
            painted = painter.paint(way)
        if beside_context or use_warps:
            references[place] = painted_reference(view, rendered, painted)
        targets[place] = target_of(crop, painted, kept, tools)
        values = {"strength": strength}
        yield Progressed(STAGE, done + 1, len(crops), values, part="paint", round=number + 1, rounds=config.rounds)
    return [targets[place] for place in range(len(crops))]


def picture_to_paint(view: ObservedView, current: Float[Tensor, "1 3 h w"], *, number: int) -> PriorQuery:
    """The view and its hole in a round, before anything else is put in.

    Args:
        view: what is known of it.
        current: how the splats show it now; after the first round they have learned from other views what the object hid.
        number: of the round, from 0.
    """
    if number == 0:
        return PriorQuery(images=view.image, holes=view.unknown)
    known = (view.observed > 0) | (view.unobserved > 0)
    return PriorQuery(images=torch.where(known, view.image, current), holes=view.unobserved)


@torch.no_grad()
def target_of(crop: TrainingCrop, painted: Float[Tensor, "1 3 h w"], kept: Splats, tools: Tools) -> Target:
    """The target of a crop of a painted view: as painted where it is supervised, elsewhere as the kept splats show it."""
    image = torch.where(crop.supervised, crop.box.crop(painted), tools.rasterizer(kept, crop.camera).color.clamp(0, 1))
    return Target(image, tools.depth(image) if tools.depth is not None else None)


def worth_as_first(view: ObservedView) -> float:
    """How well a view serves as the first that is painted: a large hole, with much of the photo left to copy from."""
    return area_in_context(view.unobserved, view.observed) * max(float(view.observed.mean()), MIN_OBSERVED) ** 2


def prefill_by_warping(query: PriorQuery, view: ReferenceView, painted: Sequence[ReferenceView]) -> PriorQuery:
    """The query, its holes prefilled with what painted views show of them, one view after the other as long as that helps.

    Photos are not warped at the same depth: it is a hole because no photo shows what is there.
    """
    for _ in range(MAX_WARPS):
        warped = warped_for(view, query.holes, painted)
        if warped is None or not matches_at_boundary(query, warped, view.camera.px(BOUNDARY_PX)):
            break
        images = poisson_clone(query.images, query.holes, warped)
        query = replace(query, images=images, holes=query.holes * warped.unknown)
    return query


def matches_at_boundary(query: PriorQuery, warped: Reference, boundary_px: int | float) -> bool:
    """Whether a view that is warped into the holes shows the same as the image around them.

    If not, the fill floats there, before one surface in one view and before another in the other.
    """
    around = dilate(query.holes, boundary_px) * (1 - query.holes)
    difference = (warped.images - query.images).abs().mean(dim=1, keepdim=True)
    matching = around * (1 - warped.unknown) * (difference <= MAX_DIFFERENCE)
    return bool(matching.sum() >= MIN_MATCH * around.sum())


@torch.no_grad()
def _rendered(scene: Splats, view: ObservedView, tools: Tools) -> Rendered:
    return tools.rasterizer(scene, view.camera)


def reference_view(view: ObservedView, rendered: Rendered) -> ReferenceView:
    """A view as others may look at it before its hole is painted; in half floats, as many views are kept at a time."""
    return ReferenceView(view.camera, view.image.half(), as_half(rendered.depth), (1 - view.unknown).half())


def painted_reference(view: ObservedView, rendered: Rendered, painted: Float[Tensor, "1 3 h w"]) -> ReferenceView:
    """A view as others may look at it once its hole is painted."""
    known = torch.ones_like(view.unobserved).half()
    return ReferenceView(view.camera, painted.half(), as_half(rendered.depth), known)
