"""Public captures with a truth: fits every scene as a user would and scores the photos taken after the removal.

    python -m benchmarks.public DIR [-o runs/public] [--weights FOLDER] [--max-resolution N] [--json FILE]

DIR is a scene of SPIn-NeRF, 360-USID, Inpaint360GS or Remove360, or a folder with several; public_sets.py says how each is laid
out and where that is from. Only photos with the object are fitted, by `splatpaint fit` with their masks; photos without it are
rendered from their own poses and compared. `--runs FOLDER` scores runs that are there already, FOLDER/SCENE, in place of fits.
A finished fit is not fitted again. Masks are given as they are, which SPIn-NeRF's and 360-USID's own code grows by 10 and 5 px.

Scores are those of `splatpaint eval`: PSNR, SSIM and LPIPS of whole photos (`full`), of where the object was (`hole`), and of
its box (`bbox`, LPIPS as SPIn-NeRF crops it, the box a tenth larger on each side). `psnr_affine` is PSNR with a gain and an
offset a channel fitted outside the hole, as exposures of photos taken later differ. Where a set has no masks for judged photos,
the object as the run located it is drawn from their poses, as 360-USID's authors do; such masks are the method's own.

Figures are comparable with published ones only at their resolution, which is the default where it is known, and only in
psnr/full, ssim/full, lpips_vgg/full and psnr/hole. Masked SSIM and LPIPS are defined differently in every paper: aura_eval.py
of 360-USID blackens both images outside the mask for SSIM, and averages a spatial LPIPS over the mask.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.inpaint_then_fit import in_world
from benchmarks.measure import environment, write_json
from benchmarks.public_sets import PUBLISHED_PX, PublicScene, scenes_in, write_part
from benchmarks.scoring import load_metrics, score_table, splatpaint, text_table
from splatpaint.capture import CaptureConfig, last_prepared, prepare
from splatpaint.errors import SplatpaintError
from splatpaint.evaluation import Pair, Scorecard, evaluate
from splatpaint.events import drain
from splatpaint.formats import read_splats
from splatpaint.image.files import write_image
from splatpaint.masks.visibility import VISIBLE
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, Similarity, View, with_exposures
from splatpaint.stages.config import RunConfig
from splatpaint.stages.evaluate import Metrics
from splatpaint.stages.exposures import read_exposures
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.run import pick_device

COLUMNS = (
    *("psnr/full", "ssim/full", "lpips_vgg/full"),
    *("psnr/hole", "psnr_affine/hole", "ssim/hole", "lpips_vgg/hole", "lpips_vgg/bbox"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/public"))
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="score these runs, FOLDER/SCENE, and fit nothing")
    parser.add_argument("--scenes", nargs="+", metavar="SCENE", help="only these")
    parser.add_argument("--max-resolution", type=int, metavar="N", help="longest side; the published one if known")
    parser.add_argument("--config", type=Path, help="recipe of the fits; the defaults otherwise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="folder with the LPIPS trunks")
    parser.add_argument("--json", type=Path, help="where the scores go")
    arguments = parser.parse_args()
    try:
        scenes = [scene for scene in scenes_in(arguments.folder) if not arguments.scenes or scene.name in arguments.scenes]
        if not scenes:
            parser.error(f"{arguments.folder} has none of the scenes {', '.join(arguments.scenes)}")
        cards = judge_all(scenes, arguments, load_metrics(arguments.weights))
    except SplatpaintError as error:
        parser.error(str(error))
    means = {name: card.means for name, card in cards.items()}
    whole = Scorecard(means)
    print(text_table(score_table(cards | {f"mean of {len(cards)}": whole}, COLUMNS)))
    if arguments.json:
        described = {scene.name: {"layout": scene.layout, "masks": masks_from(scene), **means[scene.name]} for scene in scenes}
        write_json(arguments.json, {"environment": environment(), "scenes": described, "mean": whole.means})


def judge_all(scenes: list[PublicScene], arguments: argparse.Namespace, metrics: Metrics) -> dict[str, Scorecard]:
    """Fits, unless runs are given, and scores scene by scene."""
    cards = {}
    for scene in scenes:
        work = arguments.output / scene.name
        run = arguments.runs / scene.name if arguments.runs else work / "run"
        if not arguments.runs:
            fit(scene, work / "fitted", run, arguments)
        cards[scene.name] = card = judge(scene, run, work, metrics)
        line = ", ".join(f"{name} {card.means[name]:.3f}" for name in COLUMNS if name in card.means)
        print(f"{scene.name} ({scene.layout}, {len(card.views)} photos, masks {masks_from(scene)}): {line}", flush=True)
    return cards


def fit(scene: PublicScene, capture: Path, run: Path, arguments: argparse.Namespace) -> None:
    """Runs `splatpaint fit` on the photos with the object; a finished run is left as it is."""
    write_part(scene, scene.fitted, scene.masks, capture)
    side = arguments.max_resolution or PUBLISHED_PX.get(scene.layout)
    options = {"--config": arguments.config, "--max-resolution": side, "--seed": arguments.seed}
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    splatpaint("fit", capture, "-o", run, "--resume", *words)


def masks_from(scene: PublicScene) -> str:
    """Who says where the object was in judged photos."""
    return "of the set" if scene.judged_masks else "of the run"


def judge(scene: PublicScene, run: Path, work: Path, metrics: Metrics) -> Scorecard:
    """Scores of the judged photos at the resolution of the run; renders are written to `work/pictures`.

    Args:
        scene: whose photos are judged.
        run: a finished run of the fitted ones.
        work: a folder for the prepared photos and for pictures.
        metrics: in addition to PSNR and SSIM.

    Raises:
        SplatpaintError: if the run is not finished, or the photos cannot be read.
    """
    drawn = JudgedRun.read(run)
    part = write_part(scene, scene.judged, scene.judged_masks, work / "judged")
    settings = CaptureConfig(max_resolution=drawn.config.capture.max_resolution)
    judged = drain(prepare(part, settings, cache=work / "judged-cache"))
    views = drawn.in_its_world(judged)

    def pairs() -> Iterator[Pair]:
        for view, photo in zip(views, Photos(views, torch.device("cpu")).as_taken(), strict=True):
            color, mask = drawn.draw(view, with_mask=not scene.judged_masks)
            write_image(work / "pictures" / f"{view.name}.png", color[0])
            truth = torch.lerp(color, photo.image, photo.usable)  # pixels that the photo does not have count as right
            yield Pair(view.name, color[0], truth[0], (photo.fill if mask is None else mask)[0])

    return evaluate(pairs(), lpips=metrics.lpips, flip=metrics.flip)


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """A finished run, to be drawn from poses that it was not fitted to."""

    folder: RunFolder
    config: RunConfig
    capture: Capture
    """What was fitted."""
    filled: Splats
    """The finished scene."""
    with_object: Splats
    """The reconstruction; the splats of the object are the last `removed`."""
    removed: int
    device: torch.device

    @classmethod
    def read(cls, path: Path) -> "JudgedRun":
        """The run in a folder.

        Raises:
            RunError: if there is no finished one.
        """
        folder = RunFolder.read(path)
        config = folder.config(RunConfig)
        device = pick_device(config.device)
        filled, with_object = (read_splats(folder.product(stage)).to(device) for stage in ("inpaint", "reconstruct"))
        removed = len(read_splats(folder.product("locate")))
        return cls(folder, config, last_prepared(folder.stage("capture")), filled, with_object, removed, device)

    def in_its_world(self, judged: Capture) -> tuple[View, ...]:
        """The views of another capture in the same input frame, in the run's world, exposed like the nearest fitted photos."""
        ours, theirs = self.capture.world_from_input, judged.world_from_input
        scale = ours.scale / theirs.scale
        shift = [mine - scale * other for mine, other in zip(ours.shift, theirs.shift, strict=True)]
        ours_from_theirs = Similarity(scale, (shift[0], shift[1], shift[2]))
        views = [replace(view, camera=in_world(view.camera, ours_from_theirs)) for view in judged.all_views]
        both = replace(self.capture, held_out=tuple(views))
        return with_exposures(both, read_exposures(self.folder.stage("reconstruct"))).held_out

    @torch.no_grad()
    def draw(self, view: View, *, with_mask: bool) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"] | None]:
        """The finished scene from a view's pose and, if wanted, 1 where the object that was removed shows before the rest."""
        rasterizer = pick_rasterizer(self.config.rasterizer, self.device)
        camera = view.camera.to(self.device)
        color = view.exposure.apply(rasterizer(self.filled, camera).color).clamp(0, 1).cpu()
        if not with_mask:
            return color, None
        number = torch.arange(len(self.with_object), device=self.device)[:, None]
        is_object = (number >= len(self.with_object) - self.removed).float()
        return color, (rasterizer(self.with_object, camera, features=is_object).color > VISIBLE).float().cpu()


if __name__ == "__main__":
    main()
