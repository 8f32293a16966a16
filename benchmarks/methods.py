"""The methods that the removal benchmark compares, all behind one small protocol.

delete      splatpaint's own removal, nothing painted: the splats that are left
telea-2d    cv2.inpaint (Telea) on every photo by itself; no scene at all, so its views need not agree with each other
telea       the same filled photos, then splats fitted to them: what a user gets who fills first and reconstructs after
diffusion   every photo filled by the same prior as ours, each by itself, then splats fitted to them (the naive approach)
diffusion-perceptual    the same, but filled pixels are matched in features
nerfacto    the photos filled by Telea, then nerfstudio's nerfacto in place of splats, for as long as ours takes in all: the
            recipe of SPIn-NeRF
nerf        the same with a compact NeRF of our own (benchmarks/nerf.py), which needs no other environment
nerf-ours   that NeRF under splatpaint's objectives and prior, for as long as ours takes: splats against a field, all else equal
ours        splatpaint
ours-PART   splatpaint without a part, see `ABLATIONS`
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fill_first import FillThenFit, FillThenNerf, Telea2d, drawing, seconds_of_ours
from benchmarks.nerf import NerfConfig, draw_nerf
from benchmarks.nerf_fill import fill_nerf
from benchmarks.protocol import Drawn, Fitted, Method
from splatpaint.capture import prepare
from splatpaint.config import from_tree, override, to_tree
from splatpaint.events import drain
from splatpaint.formats import read_splats
from splatpaint.priors.load import load_prior
from splatpaint.scene.views import View
from splatpaint.stages.config import RunConfig
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.run import pick_device, run

ABLATIONS = {
    "perceptual": "inpaint.perceptual.weight=0.0",
    "rounds": "inpaint.rounds=1",
    "shape": "inpaint.shape.smoothness=0.0",
    "exposure": "inpaint.rates.shN=0.0",
    "rim": "inpaint.rim_share=1.0",
    "witnesses": "remove.holes.min_views=1000000",
}
"""What `ours-PART` sets: no perceptual distance, no dataset update, no smooth depth, a fill that cannot follow the photos'
exposure, no kept splats that learn with it, holes wherever the object was."""


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: if there is none.
    """
    match name.split("-", 1):
        case ["delete"]:
            return Ours(stage="remove")
        case ["ours"]:
            return Ours()
        case ["ours", part] if part in ABLATIONS:
            return Ours(part=part)
        case ["telea", "2d"]:
            return Telea2d()
        case ["telea"]:
            return FillThenFit("telea")
        case ["diffusion"]:
            return FillThenFit("diffusion")
        case ["diffusion", "perceptual"]:
            return FillThenFit("diffusion", perceptual=True)
        case ["nerfacto"]:
            return FillThenNerf("nerfacto")
        case ["nerf"]:
            return FillThenNerf("compact")
        case ["nerf", "ours"]:
            return NerfOurs()
    raise ValueError(f"no method is called {name!r}")


@dataclass(frozen=True)
class Ours:
    """splatpaint, whole or in part."""

    stage: str = "inpaint"
    part: str | None = None
    """What is left out."""

    def fit(self, task: Path, work: Path, config: RunConfig, /) -> Fitted:
        """See `Method`; reconstruction is shared with the run that lacks nothing."""
        folder, shared = work / "run", None
        if self.part is not None:
            shared, folder = folder, work / f"run-{self.part}"
            config = from_tree(RunConfig, override(to_tree(config), ABLATIONS[self.part]))
        with RunFolder.open(folder, task, config, resume=True) as opened:
            if shared is not None and (shared / "reconstruct").exists() and not opened.splats("reconstruct").exists():
                shutil.copytree(shared / "reconstruct", folder / "reconstruct")
            scene = drain(opened.logged(run(task, opened, config)))
            splats = scene if self.stage == "inpaint" else read_splats(opened.splats("remove"))
            metrics = RunFolder.read(shared or folder).metrics | opened.metrics
            stages = ("capture", "reconstruct", "remove", *(["inpaint"] if self.stage == "inpaint" else []))
            return Fitted(drawing(splats, config), sum(metrics[stage]["seconds"] or 0.0 for stage in stages))


@dataclass(frozen=True)
class NerfOurs:
    """A compact NeRF under the objectives, prior and schedule of splatpaint's fill, for as long as splatpaint took."""

    def fit(self, task: Path, work: Path, config: RunConfig, /) -> Fitted:
        """See `Method`.

        Raises:
            ValueError: if `ours` has not been run: there is no time to equal.
        """
        seconds = seconds_of_ours(work)
        device = pick_device(config.device)
        capture = drain(prepare(task, config.capture, cache=work / "nerf-ours"))
        prior = load_prior(config.prior, device)
        field = fill_nerf(capture, prior, config.inpaint, NerfConfig(seconds=seconds), seed=config.seed, device=device)

        def draw(view: View) -> Drawn:
            color, depth = draw_nerf(field, view.camera.to(device))
            return Drawn(color.cpu(), depth.cpu())

        return Fitted(draw, seconds)
