"""Fills the holes that a removal left: the phases of the fill, one after the other, resumable between any two."""

from collections.abc import Callable
from pathlib import Path

from splatpaint.events import Events
from splatpaint.fill.closing import close_holes, covered_views
from splatpaint.fill.config import STAGE, FillConfig
from splatpaint.fill.phases import finish_fill, fit_round, paint_targets, plan_fill, preservation_constraint
from splatpaint.fill.seeding import protected_surfaces
from splatpaint.fill.state import FillState, load_state, save_state
from splatpaint.fill.tools import Tools
from splatpaint.masks.removal import Removal
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats

__all__ = ["STAGE", "inpaint"]

Painter = Callable[[FillState, Tools, FillConfig], Events[FillState]]
"""Gives the state the targets of its next round."""


def inpaint(
    photos: Photos,
    removal: Removal,
    tools: Tools,
    config: FillConfig,
    *,
    checkpoint: Path | None = None,
    paint: Painter = paint_targets,
) -> Events[Splats]:
    """The finished scene: the kept splats that are not trained, bit for bit, then boundary and fill splats.

    Args:
        photos: of the views that `removal` was made from.
        removal: kept splats and holes.
        tools: see there.
        config: see there.
        checkpoint: where the state is kept after every phase; continued from if it exists.
        paint: gives the targets of every round; another one leaves holes, seeds and training as they are.
    """
    covered = covered_views(photos, removal)
    state = load_state(checkpoint, tools.device) if checkpoint is not None else None
    if state is None:
        state = yield from plan_fill(photos, removal, tools, config)
        if state is None:
            return (yield from close_holes(removal.kept, covered, [], tools.rasterizer))
        _keep(checkpoint, state)
    constraint = preservation_constraint(state, tools, config)
    while state.round < config.rounds:
        if not state.targets:
            state = yield from paint(state, tools, config)
            _keep(checkpoint, state)
        state = yield from fit_round(state, tools, config, constraint)
        _keep(checkpoint, state)
    scene = yield from finish_fill(state, tools, constraint)
    protected = protected_surfaces(state.views, boundary_px=config.boundary_px)
    return (yield from close_holes(scene, covered, protected, tools.rasterizer))


def _keep(checkpoint: Path | None, state: FillState) -> None:
    if checkpoint is not None:
        save_state(checkpoint, state)
