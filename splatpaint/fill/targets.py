"""What each window shall look like next: as the prior paints it beside the present scene, at last in pieces of the photos."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.events import Events, Progressed
from splatpaint.fill.config import InpaintConfig, name_of_round, seed_of_round, strength_of_round
from splatpaint.fill.consensus import area_in_context
from splatpaint.fill.crops import Window
from splatpaint.fill.references import ReferenceView, anchor_first, reference_for, warped_for
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate
from splatpaint.image.shift_map import shift_map_inpaint
from splatpaint.priors.cloning import poisson_clone
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.protocol import Prior, PriorQuery, Reference
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats

MOST_WARPED = 3
"""So many views lend to another what has been painted in them."""
AROUND_PX = 8
LEAST_ALIKE = 0.25
"""A view lends only if it shows this share of what is so far around the hole, too."""
MOST_UNLIKE = 0.1
"""And by no more than this mean color otherwise."""
LEAST_SEEN = 0.01
"""A view that is no photo shows nothing of one, and is begun with only among such views; there the larger hole counts."""


def generate_targets(
    views: Sequence[ObservedView],
    windows: Sequence[Window],
    scene: Splats,
    prior: Prior,
    rasterizer: Rasterizer,
    config: InpaintConfig,
    *,
    number: int,
    seed: int,
) -> Events[list[Float[Tensor, "1 3 hb wb"]]]:
    """What each window shall look like next.

    In the hole that is what the scene shows there now, noised and denoised by the prior; in a round that finishes it is pieces
    of the photo, looked up also by what the scene shows.
    """
    strength = strength_of_round(number, config)
    by_example = finishes_with_exemplar(prior, config)
    finishing = by_example and number == config.rounds - 1
    beside = config.reference == "beside" and not finishing
    # After the first round the rendering holds what the views agreed on.
    lending = finishing or (config.reference == "warped" and number == 0)
    shown = [reference_view(views[window.view], scene, rasterizer) for window in windows] if beside or lending else []
    order = range(len(windows))
    if shown:
        order = anchor_first([each.camera for each in shown], [worth_of_anchor(views[window.view]) for window in windows])
    targets: dict[int, Float[Tensor, "1 3 hb wb"]] = {}
    for done, place in enumerate(order):
        window = windows[place]
        view = views[window.view]
        with torch.no_grad():
            current = rasterizer(scene, view.camera).color.clamp(0, 1)
        query = PriorQuery(images=view.image, holes=view.blind)
        if number > 0:  # by now the splats have learned from other views what the object hid in this one
            told = (view.seen > 0) | (view.hole > 0)
            query = PriorQuery(images=torch.where(told, view.image, current), holes=view.hole)
        if lending:
            query = prefill_by_warping(query, shown[place], [shown[each] for each in order[:done]])
        if beside:
            others = [shown[each] for each in order if each != place]
            query = replace(query, reference=reference_for(shown[place], view.hole, others))
        generator = torch.Generator().manual_seed(seed_of_round(seed, number) * 100_003 + window.view)
        painted = current
        if number == 0 or not finishing:
            # Before a finish only colors and shape matter: one step gives the mean of all that is plausible.
            steps = 1 if by_example else max(1, round(config.denoise_steps * strength))
            painted = paint(prior, query, start=current, strength=strength, steps=steps, generator=generator)
        if finishing:
            guide = poisson_clone(query.images, query.holes, Reference(painted, torch.zeros_like(query.holes)))
            pieces = shift_map_inpaint(query.images, query.holes, view.seen, guide=guide, generator=generator)
            painted = torch.lerp(guide, pieces, config.pieces)
        if shown:
            shown[place] = replace(shown[place], image=painted, known=torch.ones_like(view.hole))
        targets[place] = torch.lerp(window.bare, window.box.crop(painted), window.taught)
        yield Progressed(f"{name_of_round(number, config)}: repaint", done + 1, len(windows), {"strength": strength})
    return [targets[place] for place in range(len(windows))]


def finishes_with_exemplar(prior: Prior, config: InpaintConfig) -> bool:
    """Whether the last round is made of pieces of the photos."""
    match config.finish:
        case "auto":
            return prior.max_steps is not None
        case "prior":
            return False
        case "exemplar":
            return True


def worth_of_anchor(view: ObservedView) -> float:
    """The more hole, the better, but with enough of the photo left: beside an object of half the picture is little to copy."""
    return area_in_context(view.hole, view.seen) * max(float(view.seen.mean()), LEAST_SEEN) ** 2


def prefill_by_warping(query: PriorQuery, view: ReferenceView, painted: Sequence[ReferenceView]) -> PriorQuery:
    """The query with what painted views show of its holes set in, from one after the other as long as that helps.

    Not with what others' photos show at the same depth: it is a hole because nobody saw what is there.
    """
    for _ in range(MOST_WARPED):
        warped = warped_for(view, query.holes, painted)
        if warped is None or not fits(query, warped):
            break
        images = poisson_clone(query.images, query.holes, warped)
        query = replace(query, images=images, holes=query.holes * warped.unknown)
    return query


def fits(query: PriorQuery, warped: Reference) -> bool:
    """Whether what is warped into the holes goes on around them as the picture does.

    If not, the fill hangs in the air there, before one surface in one view and another in the other.
    """
    around = dilate(query.holes, AROUND_PX) * (1 - query.holes)
    unlike = (warped.images - query.images).abs().mean(dim=1, keepdim=True)
    alike = around * (1 - warped.unknown) * (unlike <= MOST_UNLIKE)
    return bool(alike.sum() >= LEAST_ALIKE * around.sum())


@torch.no_grad()
def reference_view(view: ObservedView, scene: Splats, rasterizer: Rasterizer) -> ReferenceView:
    """A view as others may look at it before its hole is painted."""
    return ReferenceView(view.camera, view.image, rasterizer(scene, view.camera).depth, 1 - view.blind)
