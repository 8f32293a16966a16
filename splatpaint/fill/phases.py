"""The fill, from a removal to the finished scene: plan, then paint and fit in rounds, then finish.

Kept splats are frozen and the fill is a second set. Only boundary splats, kept ones that show right around a hole, are trained
with it: they were fitted together with the object, and the photos show there what they should look like without it. A round
paints the hole of every view and then fits fill and boundary splats to all of them at once: what the views disagree on averages
out, and what the object hid in one view is learned from those that show it, so the next round paints beside better
surroundings. With a noise level that falls from round to round, a round begins from the current rendering instead, and sharpens
what the views agree on (the dataset update of Instruct-NeRF2NeRF, with the square-root schedule of MALD-NeRF).
"""

from copy import deepcopy
from dataclasses import replace

import torch

from splatpaint.events import Events, Measured, Noted
from splatpaint.fill.boundary import boundary_splats
from splatpaint.fill.config import STAGE, FillConfig
from splatpaint.fill.crops import CropSampler, choose_crops
from splatpaint.fill.practice import choose_finish
from splatpaint.fill.preservation import PreservationConstraint
from splatpaint.fill.seeding import add_occluded_holes, misplaced_fill, seed_fill
from splatpaint.fill.state import FillState, initial_state
from splatpaint.fill.targets import generate_targets
from splatpaint.fill.tools import Tools
from splatpaint.fill.training import fill_objectives, hint_from_prior, novel_view_samplers
from splatpaint.fill.unobserved import add_synthetic_views
from splatpaint.fill.views import observed_views, with_context
from splatpaint.fit.checkpoint import Stateful
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.loop import LoopConfig, optimize
from splatpaint.fit.parameters import BOUNDARY, FILL, SplatParameters
from splatpaint.masks.removal import Removal
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.streams import stream_seed

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
    photo_cameras = [view.camera for view in observed]
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
    crops = choose_crops(views, frozen, fill, rasterizer, config)
    finish = yield from choose_finish(views, tools, config)
    return initial_state(views, frozen, kept[boundary], fill, crops, photo_cameras, finish)


def paint_targets(state: FillState, tools: Tools, config: FillConfig) -> Events[FillState]:
    """The state with the targets of its next round."""
    targets = yield from generate_targets(
        state.views, state.crops, state.kept, state.scene, tools, config, number=state.round, finish=state.finish
    )
    return replace(state, targets=tuple(targets))


def fit_round(
    state: FillState, tools: Tools, config: FillConfig, constraint: PreservationConstraint | None
) -> Events[FillState]:
    """The state after its splats were fitted to its targets.

    Args:
        state: with the targets of its next round. It stays as it is.
        tools: see there.
        config: see there.
        constraint: reverts what changes observed pixels; None: nothing is reverted.
    """
    torch.manual_seed(stream_seed(tools.seed, round=state.round))  # splats that are split draw from torch's own stream
    parameters = SplatParameters(state.trained, config.rates, group=state.group)
    objectives = fill_objectives(state, tools, config)
    if state.training:
        parameters.restore_optimizers(state.training["optimizers"])
        for objective, carried in zip(objectives, state.training["objectives"], strict=True):
            if isinstance(objective, Stateful):
                objective.restore(deepcopy(carried))
    seed = stream_seed(tools.seed, round=state.round)
    loop = LoopConfig(
        steps=config.steps,
        sh_every=0.0,
        round=state.round + 1,
        rounds=config.rounds,
        seed=seed,
        calmed_by="inpaint.rates or the weights in inpaint.objectives",
    )
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
    if constraint is not None:
        trained = parameters.splats(parameters.sh_degree).detach()
        parameters.assign(constraint.revert_leaks(trained, parameters.group))
    training = {
        "optimizers": parameters.optimizer_state(),
        "objectives": [each.state() if isinstance(each, Stateful) else {} for each in objectives],
    }
    trained = parameters.splats(parameters.sh_degree).detach()
    return replace(state, trained=trained, group=parameters.group, round=state.round + 1, targets=(), training=training)


def finish_fill(state: FillState, tools: Tools, constraint: PreservationConstraint | None) -> Events[Splats]:
    """The finished scene: frozen, boundary and fill splats, without fill that is misplaced or changes protected pixels.

    Args:
        state: after the last round.
        tools: see there.
        constraint: as for `fit_round`.
    """
    boundary, fill = state.trained[~state.is_fill], state.trained[state.is_fill]
    kept = concatenate([state.frozen, boundary])
    fill = fill[~misplaced_fill(fill, kept, state.views, tools.rasterizer)]
    if constraint is not None:
        trained = concatenate([boundary, fill])
        is_fill = torch.arange(len(trained), device=fill.means.device) >= len(boundary)
        stays = constraint.prune_leaks(trained, torch.where(is_fill, FILL, BOUNDARY).byte())
        fill = fill[stays[len(boundary) :]]
    yield Measured(STAGE, {"fill": float(len(fill)), "boundary": float(len(boundary)), "views": float(len(state.crops))})
    return concatenate([state.frozen, boundary, fill])


def preservation_constraint(state: FillState, tools: Tools, config: FillConfig) -> PreservationConstraint | None:
    """What keeps observed pixels as they were before the training; None if nothing shall."""
    if not config.preserve_observed:
        return None
    return PreservationConstraint(state.boundary, state.frozen, state.views, tools.rasterizer, config)
