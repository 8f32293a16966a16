"""The methods of the removal benchmark.

delete      removal by splatpaint without a fill
telea-2d    cv2.inpaint (Telea) on each photo; no scene, so its views are not consistent
telea       splats fitted to the photos of telea-2d: inpaint first, reconstruct afterwards
diffusion   splats fitted to photos that were inpainted separately by the prior of `ours`
diffusion-perceptual    as diffusion, with filled pixels matched by features
nerfacto    nerfstudio's nerfacto fitted to the photos of telea-2d, in the total time of `ours`: the recipe of SPIn-NeRF
nerf        as nerfacto, with a compact NeRF (benchmarks/nerf.py) that needs no other environment
nerf-ours   the compact NeRF with splatpaint's objectives and prior, in the time of `ours`: splats against a radiance field
NERF-xN     one of these three for N times the time of `ours`
ours        splatpaint
ours-WAY    splatpaint with a way of painting forced that practice may choose, see `FORCED`: ours-smooth, ours-pieces-0.7
ours-telea  our holes, seeds and training with Telea's colors (benchmarks/telea_fill.py): isolates the painting
ours-PART   splatpaint without a part, see `ABLATIONS`
ours+PART   splatpaint with a part that is off by default, see `ADDITIONS`
photos      the ground truth with the depth of `ours`: upper bound of the agreement between views
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.holes import hole_scores
from benchmarks.inpaint_then_fit import InpaintThenFit, InpaintThenNerf, Telea2d, draw_splats, seconds_of_ours
from benchmarks.nerf import NerfConfig, draw_nerf
from benchmarks.nerf_fill import fill_nerf
from benchmarks.protocol import Drawn, Fitted, Method
from benchmarks.telea_fill import OursByTelea
from splatpaint.capture import inputs, last_prepared, prepare
from splatpaint.config import from_tree, override, to_tree
from splatpaint.events import drain
from splatpaint.fill.practice import WAYS
from splatpaint.fill.ways import Way
from splatpaint.formats import read_splats
from splatpaint.image.files import read_image
from splatpaint.priors.load import load_prior
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import View
from splatpaint.stages.config import RunConfig
from splatpaint.stages.exposures import read_exposures
from splatpaint.stages.folder import RunFolder, SplatStage
from splatpaint.stages.run import pick_device, run

ABLATIONS = {
    "exemplar": ("inpaint.finish=prior",),
    "rounds": ("inpaint.rounds=1",),
    "guesses": ("inpaint.seed.min_view_support=0.0",),
    "exposure": ("inpaint.rates.shN=0.0",),
    "leveling": ("reconstruct.exposures=false",),
    "background": ("reconstruct.background=black",),
    "veils": ("reconstruct.near_floater_depth=0.0",),
    "leash": ("inpaint.preserve_observed=false",),
    "rim": ("inpaint.boundary_share=1.0",),
    "crops": ("inpaint.context=100.0",),
    "witnesses": ("remove.holes.use_other_views=false",),
}
"""What `ours-PART` leaves out, under the names of the published tables: exemplar = the last round is painted by the prior;
rounds = one round, and so half the steps; guesses = seeds need no support of other views; exposure = the fill has no view
dependence; leveling = photos have no exposures; background = black behind the splats; veils = near floaters stay; leash =
observed pixels are not preserved; rim = no boundary splats are trained; crops = whole views are trained; witnesses = holes are
wherever the object was. `ours-haze` and `ours+haze` of the tables are today's `ours-pieces-1` and `ours-pieces-0.4`."""
ADDITIONS = {
    "perceptual": ("inpaint.objectives+={kind: perceptual, weight: 0.1}",),
    "update": ("inpaint.finish=prior", "inpaint.strength_last=0.2"),
    "lora": ("customize.steps=50", "customize.perceptual_weight=1.1", "customize.perceptual_net=vgg"),
    "adversarial": ("inpaint.objectives+={kind: adversarial, weight: 0.3}",),
    "distill": ("inpaint.objectives+={kind: distill, weight: 0.1}",),
    "novel": ("inpaint.samplers+={kind: novel_views, share: 0.2}",),
    "reference": ("inpaint.reference=context_view",),
    "warped": ("inpaint.reference=warp",),
}
"""What `ours+PART` adds: perceptual, adversarial and distill = that objective; update = the last round begins from the
rendering (a dataset update by partial denoising); lora = the prior learns the scene; novel = samples at novel poses; reference
= holes are painted beside a context view; warped = what was painted in other views is warped in."""


def settings_of(way: Way) -> tuple[str, ...]:
    """Settings that make the last round paint in this way, whatever practice says."""
    if way.kind == "smooth":
        return ("inpaint.finish=smooth",)
    return ("inpaint.finish=exemplar", f"inpaint.exemplar_weight={way.exemplar_weight}")  # no copied pixels: the prior's


FORCED = {way.name: settings_of(way) for way in WAYS}
"""`ours-WAY`, one for every way that practice may choose: smooth = the harmonic fill; prior = as the prior painted before;
pieces-0.7 = seven tenths of pixels copied from the photos, the rest as for prior."""


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: if there is none.
    """
    if name.startswith("ours+") and name.removeprefix("ours+") in ADDITIONS:
        return Ours(part=name, settings=ADDITIONS[name.removeprefix("ours+")])
    if nerf := re.fullmatch(r"(nerf|nerf-ours|nerfacto)(?:-x([1-9]\d*))?", name):
        return _nerf(nerf[1], int(nerf[2] or 1))
    match name.split("-", 1):
        case ["delete"]:
            return Ours(stage="remove")
        case ["ours"]:
            return Ours()
        case ["ours", "telea"]:
            return OursByTelea()
        case ["ours", way] if way in FORCED:
            return Ours(part=name, settings=FORCED[way])
        case ["ours", part] if part in ABLATIONS:
            return Ours(part=name, settings=ABLATIONS[part])
        case ["telea", "2d"]:
            return Telea2d()
        case ["telea"]:
            return InpaintThenFit("telea")
        case ["diffusion"]:
            return InpaintThenFit("diffusion")
        case ["diffusion", "perceptual"]:
            return InpaintThenFit("diffusion", perceptual=True)
        case ["photos"]:
            return UntouchedPhotos()
    raise ValueError(f"no method is called {name!r}")


def _nerf(name: str, times: int) -> Method:
    if name == "nerf-ours":
        return NerfOurs(times)
    return InpaintThenNerf("compact" if name == "nerf" else "nerfacto", times)


@dataclass(frozen=True)
class Ours:
    """splatpaint, possibly with changed settings."""

    stage: str = "inpaint"
    part: str | None = None
    """Name of the variant."""
    settings: tuple[str, ...] = ()
    """Settings that differ from the recipe."""

    def fit(self, task: Path, work: Path, config: RunConfig, _scored_views: Sequence[View], /) -> Fitted:
        """See `Method`; stages before the first changed setting are copied from the run without changes."""
        folder, shared = work / "run", None
        if self.part is not None:
            shared, folder = folder, work / f"run-{self.part}"
            tree = to_tree(config)
            for setting in self.settings:
                tree = override(tree, setting)
            config = from_tree(RunConfig, tree)
        with RunFolder.open(folder, task, config, files=inputs(task, config.capture), resume=True) as opened:
            for stage in self._shared_stages:
                if shared is not None and (shared / stage).exists() and not opened.splats(stage).exists():
                    partial = folder / f"{stage}.partial"
                    for begun in (partial, folder / stage):
                        shutil.rmtree(begun, ignore_errors=True)
                    shutil.copytree(shared / stage, partial)
                    partial.rename(folder / stage)
            scene = drain(opened.logged(run(task, opened, config)))
            splats = scene if self.stage == "inpaint" else read_splats(opened.splats("remove"))
            metrics = RunFolder.read(shared or folder).metrics | opened.metrics
            stages = ["capture", "locate", "reconstruct", "remove"]
            stages += ["customize", "inpaint"] if self.stage == "inpaint" else []
            spent = [metrics[stage]["seconds"] or 0.0 for stage in stages if stage in metrics]
            draw = draw_splats(splats, read_exposures(opened.stage("reconstruct")), config)
            return Fitted(draw, sum(spent), self._hole_scores(opened, splats, config) if self.stage == "inpaint" else {})

    def _hole_scores(self, opened: RunFolder, splats: Splats, config: RunConfig) -> dict[str, float]:
        device = pick_device(config.device)
        capture = last_prepared(opened.stage("capture"))
        return hole_scores(opened, capture, splats.to(device), pick_rasterizer(config.rasterizer, device), device)

    @property
    def _shared_stages(self) -> tuple[SplatStage, ...]:
        changed = {setting.partition(".")[0] for setting in self.settings}
        if "reconstruct" in changed:
            return ()
        return ("locate", "reconstruct") if "remove" in changed else ("locate", "reconstruct", "remove")


@dataclass(frozen=True)
class NerfOurs:
    """A compact NeRF with the objectives, prior and schedule of splatpaint's fill."""

    times: int = 1
    """Training time as a multiple of the total time of splatpaint."""

    def fit(self, task: Path, work: Path, config: RunConfig, _scored_views: Sequence[View], /) -> Fitted:
        """See `Method`.

        Raises:
            ValueError: if `ours` has not been run, whose time is needed.
        """
        seconds = self.times * seconds_of_ours(work)
        device = pick_device(config.device)
        capture = drain(prepare(task, config.capture, cache=work / "nerf-ours"))
        prior = load_prior(config.prior, device)
        field = fill_nerf(capture, prior, config.inpaint, NerfConfig(seconds=seconds), seed=config.seed, device=device)

        def draw(view: View) -> Drawn:
            color, depth = draw_nerf(field, view.camera.to(device))
            return Drawn(color.cpu(), depth.cpu())

        return Fitted(draw, seconds)


@dataclass(frozen=True)
class UntouchedPhotos:
    """The ground truth as a method."""

    def fit(self, task: Path, work: Path, config: RunConfig, _scored_views: Sequence[View], /) -> Fitted:
        """See `Method`; the depth is that of `ours`, which must have been run."""
        ours = draw_splats(read_splats(RunFolder.read(work / "run").splats("inpaint")), {}, config)

        def draw(view: View) -> Drawn:
            return Drawn(read_image(task / "truth" / f"{view.name}.png")[None], ours(view).depth)

        return Fitted(draw, 0.0)
