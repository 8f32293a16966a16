"""The fill, from a removal to the finished scene: plan, then paint and fit in rounds, then finish.

Kept splats are frozen and the fill is a second set. Only boundary splats, kept ones that show right around a hole, are trained
with it: they were fitted together with the object, and the photos show there what they should look like without it. A round
paints the hole of every view and then fits fill and boundary splats to all of them at once: what the views disagree on averages
out, and what the object hid in one view is learned from those that show it, so the next round paints beside better
surroundings. With a noise level that falls from round to round, a round begins from the current rendering instead, and sharpens
what the views agree on (the dataset update of Instruct-NeRF2NeRF, with the square-root schedule of MALD-NeRF).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.events import Events, Measured, Noted
from splatpaint.fill.boundary import boundary_splats
from splatpaint.fill.config import STAGE, FillConfig
from splatpaint.fill.crops import CropSampler, choose_crops
from splatpaint.fill.novel_views import NovelViewSampler, Scene
from splatpaint.fill.preservation import PreservationConstraint
from splatpaint.fill.seeding import DepthHint, add_occluded_holes, seed_fill
from splatpaint.fill.state import FillState, planned
from splatpaint.fill.targets import generate_targets
from splatpaint.fill.tools import Tools
from splatpaint.fill.unobserved import add_synthetic_views
from splatpaint.fill.views import ObservedView, observed_views, with_context
from splatpaint.fit.checkpoint import Stateful
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.loop import LoopConfig, optimize
from splatpaint.fit.parameters import SplatParameters
from splatpaint.masks.lift import Region, rendered_share
from splatpaint.masks.removal import Removal
from splatpaint.objectives.build import build_objectives
from splatpaint.objectives.disparity import DisparityConfig
from splatpaint.objectives.protocol import Objective
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.depth import DepthPrior
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.streams import generator, stream_seed

MISPLACED = 0.3
"""Fill splats go, before the training and after it, that have no more than this share of their rendered weight in fill regions:
a seed that is right from afar may be before the lens of a nearer camera."""
GROW_EVERY = 50
"""Steps between two times that a fill grows, if it may."""


def plan_fill(photos: Photos, removal: Removal, tools: Tools, config: FillConfig) -> Events[FillState | None]:
    """The state before the first round; None, after an event that says why, if there is nothing to paint.

    Args:
        photos: of the views that `removal` was made from.
        removal: kept splats and holes.
        tools: see there.
        config: see there.
    """
    rasterizer = tools.rasterizer
    with torch.no_grad():
        observed = observed_views(photos, removal, rasterizer)
        completed = add_synthetic_views(observed, removal.kept, rasterizer, config.unobserved, max_views=config.views)
    del observed
    views, kept = with_context(completed.views), completed.kept
    if not any(view.in_fill_region.any() for view in completed.views):
        yield Noted(STAGE, "every pixel was seen by some photo: nothing to paint")
        return None
    fill = kept[:0]
    if any(view.in_fill_region.any() for view in views):
        hint = hint_from_prior(tools.prior, tools.depth, tools.seed) if tools.depth is not None else None
        fill = seed_fill(views, rasterizer, config.seed, boundary_px=config.boundary_px, sh_degree=kept.sh_degree, hint=hint)
        fill = fill[~misplaced_fill(fill, kept, views, rasterizer)]
    views = with_context(add_occluded_holes(fill, views, rasterizer))
    if len(fill) == 0 or not any(view.in_fill_region.any() for view in views):
        yield Noted(STAGE, "no photo tells where the surface in the holes may be: they stay open", "warning")
        return None
    holes = sum(bool(view.unobserved.any()) for view in views)
    yield Noted(STAGE, f"{holes} views have holes, {len(fill)} splats seeded to fill them")
    boundary = boundary_splats(kept, views, rasterizer, config)
    frozen = kept[~boundary]
    return planned(views, frozen, kept[boundary], fill, choose_crops(views, frozen, fill, rasterizer, config))


def paint_targets(state: FillState, tools: Tools, config: FillConfig) -> Events[FillState]:
    """The state with the targets of its next round."""
    kept = concatenate([state.frozen, state.boundary])
    targets = yield from generate_targets(state.views, state.crops, kept, state.scene, tools, config, number=state.round)
    return replace(state, targets=tuple(targets))


def fit_round(state: FillState, tools: Tools, config: FillConfig) -> Events[FillState]:
    """The state after its splats were fitted to its targets."""
    torch.manual_seed(stream_seed(tools.seed, round=state.round))  # splats that are split draw from torch's own stream
    parameters = SplatParameters(state.trained, config.rates, group=state.group)
    objectives = fill_objectives(state, tools, config)
    if state.training:
        parameters.restore(state.training["parameters"])
        for objective, carried in zip(objectives, state.training["objectives"], strict=True):
            if isinstance(objective, Stateful):
                objective.restore(carried)
    seed = stream_seed(tools.seed, round=state.round)
    loop = LoopConfig(steps=config.steps, sh_every=0.0, round=state.round + 1, rounds=config.rounds, seed=seed)
    novel = novel_view_samplers(state, parameters, loop, tools, config)
    crops = CropSampler(state.crops, state.targets, state.frozen, first=state.round * config.steps, seed=tools.seed)
    budget = DensityConfig(max_splats=len(state.boundary) + round(config.growth * state.seeds), every=GROW_EVERY)
    yield from optimize(
        parameters,
        [*novel, crops],
        objectives,
        tools.rasterizer,
        loop,
        stage=STAGE,
        density=Density(budget, parameters) if config.growth > 1 else None,
        surroundings=state.frozen,
    )
    if any(sampler.config.share and not sampler.samples for sampler in novel):
        yield Noted(STAGE, "from no new pose enough of the fill was seen: none was learned from", "warning")
    if config.preserve_observed:
        trained = parameters.splats(parameters.sh_degree).detach()
        parameters.assign(constraint(state, tools, config).revert_leaks(trained, parameters.group))
    training = {
        "parameters": parameters.state(),
        "objectives": [each.state() if isinstance(each, Stateful) else {} for each in objectives],
    }
    trained = parameters.splats(parameters.sh_degree).detach()
    return replace(state, trained=trained, group=parameters.group, round=state.round + 1, targets=(), training=training)


def finish_fill(state: FillState, tools: Tools, config: FillConfig) -> Events[Splats]:
    """The finished scene: frozen, boundary and fill splats, without fill that is misplaced or changes protected pixels."""
    boundary, fill = state.trained[~state.is_fill], state.trained[state.is_fill]
    kept = concatenate([state.frozen, boundary])
    fill = fill[~misplaced_fill(fill, kept, state.views, tools.rasterizer)]
    if config.preserve_observed:
        trained = concatenate([boundary, fill])
        is_fill = torch.arange(len(trained), device=fill.means.device) >= len(boundary)
        stays = constraint(state, tools, config).prune_leaks(trained, is_fill.byte())
        fill = fill[stays[len(boundary) :]]
    yield Measured(STAGE, {"fill": float(len(fill)), "boundary": float(len(boundary)), "views": float(len(state.crops))})
    return concatenate([state.frozen, boundary, fill])


def constraint(state: FillState, tools: Tools, config: FillConfig) -> PreservationConstraint:
    """What keeps observed pixels as they were before the training."""
    return PreservationConstraint(state.boundary, state.frozen, state.views, tools.rasterizer, config)


def fill_objectives(state: FillState, tools: Tools, config: FillConfig) -> list[Objective]:
    """The objectives of every round; disparity is compared only where a network estimates it."""
    configs = [each for each in config.objectives if tools.depth is not None or not isinstance(each, DisparityConfig)]
    px = max(view.camera.px(1) for view in state.views)
    configs = [
        replace(each, boundary_px=px * each.boundary_px) if isinstance(each, DisparityConfig) else each for each in configs
    ]
    return build_objectives(configs, prior=tools.prior, device=tools.device, seed=tools.seed)


def novel_view_samplers(
    state: FillState, parameters: SplatParameters, loop: LoopConfig, tools: Tools, config: FillConfig
) -> list[NovelViewSampler]:
    """The samplers of novel views that the settings name."""

    def scene_now() -> Scene:
        return Scene(state.frozen, parameters.splats(parameters.sh_degree).detach(), parameters.is_fill)

    return [
        NovelViewSampler(
            each,
            [view.camera for view in state.views],
            state.trained.means[state.is_fill].median(dim=0).values,
            tools.prior,
            tools.rasterizer,
            scene=scene_now,
            progress=loop.progress,
            generator=generator(tools.seed, round=state.round, step=place),
        )
        for place, each in enumerate(config.samplers)
    ]


def hint_from_prior(prior: Prior, depth: DepthPrior, seed: int) -> DepthHint:
    """Estimates disparity in a view as the prior paints it."""

    def hint(view: ObservedView) -> Float[Tensor, "1 1 h w"]:
        noise = generator(seed)
        return depth(paint(prior, PriorQuery(view.image, view.unknown), steps=1, generator=noise))

    return hint


@torch.no_grad()
def misplaced_fill(fill: Splats, kept: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer) -> Bool[Tensor, " n"]:
    """Fill splats that show mainly where photos show something else, or nowhere, in a scene with the kept ones."""
    regions = (Region(view.camera, view.fill_region, torch.maximum(view.fill_region, view.observed)) for view in views)
    return rendered_share(concatenate([kept, fill]), regions, rasterizer)[len(kept) :] <= MISPLACED
