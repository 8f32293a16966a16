"""splatpaint's fill with another painter: Telea's inpainting in place of prior, pieces of the photos and smooth fill.

Holes, seeds, training and preservation are those of `ours`. What it loses against `ours` is the worth of the painting, and what
it gains on photos that Telea inpaints before the fit (`telea`) is the worth of everything else.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.holes import hole_scores
from benchmarks.inpaint_then_fit import draw_splats, run_of_ours, telea
from benchmarks.protocol import Fitted
from splatpaint.capture import last_prepared
from splatpaint.events import Events, Progressed, drain
from splatpaint.fill.config import STAGE, FillConfig
from splatpaint.fill.state import FillState
from splatpaint.fill.targets import picture_to_paint, target_of
from splatpaint.fill.tools import Tools
from splatpaint.formats import read_splats, write_splats
from splatpaint.masks.removal import Removal
from splatpaint.priors.load import load_prior
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import View, with_exposures
from splatpaint.stages.config import RunConfig
from splatpaint.stages.contradicting_views import read_contradicting, without_views
from splatpaint.stages.exposures import read_exposures
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.holes import read_holes
from splatpaint.stages.inpaint import inpaint
from splatpaint.stages.run import pick_device


@dataclass(frozen=True)
class OursByTelea:
    """The removal of `ours`, filled anew with the colors of Telea's method."""

    def fit(self, _task: Path, work: Path, config: RunConfig, _scored_views: Sequence[View], /) -> Fitted:
        """See `Method`.

        Raises:
            ValueError: if `ours` has not been run, whose removal is filled.
        """
        ours = run_of_ours(work)
        device = pick_device(config.device)
        rasterizer = pick_rasterizer(config.rasterizer, device)
        prepared = last_prepared(ours.stage("capture"))
        exposures = read_exposures(ours.stage("reconstruct"))
        agreeing = without_views(with_exposures(prepared, exposures), read_contradicting(ours.stage("reconstruct")))
        product, seconds = work / "ours-telea" / "splats.safetensors", work / "ours-telea" / "seconds"
        if not product.exists():
            shutil.rmtree(product.parent, ignore_errors=True)
            product.parent.mkdir(parents=True)
            start = time.perf_counter()
            kept = read_splats(ours.product("remove")).to(device)
            removal = Removal(kept, read_holes(ours.stage("remove"), agreeing.views, device))
            tools = Tools(load_prior(config.prior, device), rasterizer, device, config.seed)
            without_practice = replace(config.inpaint, finish="smooth")  # the way of painting need not be chosen
            photos = Photos(agreeing.views, device)
            scene = drain(inpaint(photos, removal, tools, without_practice, paint=paint_by_telea))
            seconds.write_text(str(time.perf_counter() - start))
            write_splats(product, scene)
        scene = read_splats(product)
        spent = sum(ours.metrics[stage]["seconds"] or 0.0 for stage in shared_stages(ours)) + float(seconds.read_text())
        scores = hole_scores(ours, prepared, scene.to(device), rasterizer, device)
        return Fitted(draw_splats(scene, exposures, config), spent, scores)


def shared_stages(run: RunFolder) -> list[str]:
    """The stages of a run before its fill, as far as it has them."""
    return [stage for stage in ("capture", "locate", "reconstruct", "remove") if stage in run.metrics]


@torch.no_grad()
def paint_by_telea(state: FillState, tools: Tools, _config: FillConfig) -> Events[FillState]:
    """`paint_targets` with Telea's inpainting; known pixels stay as they are."""
    targets = []
    for done, crop in enumerate(state.crops, start=1):
        view = state.views[crop.view]
        current = tools.rasterizer(state.scene, view.camera).color.clamp(0, 1)
        query = picture_to_paint(view, current, number=state.round)
        filled = telea(query.images.cpu(), query.holes.cpu(), 0).to(query.images)
        targets.append(target_of(crop, torch.where(query.holes > 0, filled, query.images), state.kept, tools))
        yield Progressed(STAGE, done, len(state.crops), part="paint", round=state.round + 1)
    return replace(state, targets=tuple(targets))
