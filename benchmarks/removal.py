"""Removal from real captures with known truth: splatpaint beside two baselines.

    python -m benchmarks.removal CAPTURES [-o runs/removal] [--tasks lund_street snowmiku] [--max-resolution 480]

CAPTURES is the folder that holds the captures. Each task (see benchmarks/cover.py) hides a surface behind a virtual ball in
every photo; methods see the covered photos and the ball's masks, and are scored against the untouched photos.

    delete   the same fit, stopped after the removal: only the splats that are left
    telea    cv2.inpaint (Telea, radius 5 px) on every photo by itself; no 3D, so its views need not agree with each other
    ours     `splatpaint fit`

A method that has its scores is skipped, and an interrupted fit is resumed. LPIPS is that of the hole's box (10 % grown): as
rendered (bbox), and with the truth everywhere but in the hole (hole), since Telea keeps the photo around it and renders do not.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.cover import Spot, make_cover
from benchmarks.measure import environment, write_json
from benchmarks.scoring import largest_holes, names, pairs, splatpaint, text_table, write_strips
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.errors import WeightsError
from splatpaint.evaluation import Scorecard, evaluate, read_scorecard, table
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image
from splatpaint.image.perceptual import Lpips

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("delete", "telea", "ours")
COLUMNS = (
    *("psnr/hole", "ssim/hole", "lpips_alex/hole", "lpips_vgg/hole"),
    *("lpips_alex/bbox", "lpips_vgg/bbox", "psnr/bbox", "psnr/ring", "psnr/full"),
)
TELEA_RADIUS_PX = 5


@dataclass(frozen=True)
class Task:
    """Where the ball goes in a capture."""

    capture: str
    spot: Spot | None = None


TASKS = {
    "lund_street": Task("lund_street", Spot("09", 0.5, 0.72)),
    "snowmiku": Task("snowmiku"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/removal"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--max-resolution", type=int, default=480)
    parser.add_argument("--config", type=Path, help="recipe of the fit; the defaults otherwise")
    parser.add_argument("--weights", type=Path, help="folder with the LPIPS trunks")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "removal.json")
    arguments = parser.parse_args()

    lpips = _lpips(arguments.weights)
    results = {}
    for name in arguments.tasks:
        folder = arguments.output / name
        cover(TASKS[name], arguments.captures, folder / "cover", max_resolution=arguments.max_resolution)
        cards = {method: scored(method, folder, arguments.config, lpips) for method in METHODS}
        columns = [folder / "cover" / "truth", folder / "cover" / "images", *(folder / method for method in METHODS)]
        write_strips(folder / "strips.png", columns, largest_holes(folder / "cover" / "masks", 6))
        results[name] = summary(folder, cards)
        print(f"\n{name}, mean of {len(cards['ours'].views)} views:\n{text_table(table(cards, COLUMNS))}")
        print(f"truth | input | {' | '.join(METHODS)}: {folder / 'strips.png'}", flush=True)
    settings = {"max_resolution": arguments.max_resolution, "config": arguments.config.name if arguments.config else "defaults"}
    write_json(arguments.json, {"environment": environment(), "settings": settings, "tasks": results})


def cover(task: Task, captures: Path, folder: Path, *, max_resolution: int) -> None:
    """Makes the task's capture unless it is there."""
    if (folder / "cover.json").exists():
        return
    with tempfile.TemporaryDirectory() as cache:
        config = CaptureConfig(max_resolution=max_resolution)
        make_cover(drain(prepare(captures / task.capture, config, cache=Path(cache))), folder, spot=task.spot)


def scored(method: str, folder: Path, config: Path | None, lpips: Mapping[str, Lpips]) -> Scorecard:
    """The method's scores, from disk if it has been run before."""
    file = folder / f"{method}.json"
    if not file.exists():
        renders = folder / method
        match method:
            case "telea":
                telea(folder / "cover", renders)
            case "delete":
                fit(folder, config)
                splatpaint("render", folder / "run", "-o", renders, "--views", "all", "--stage", "remove")
            case "ours":
                fit(folder, config)
                splatpaint("render", folder / "run", "-o", renders, "--views", "all")
        evaluate(pairs(renders, folder / "cover" / "truth", folder / "cover" / "masks"), lpips=lpips).write(file)
    return read_scorecard(file)


def fit(folder: Path, config: Path | None) -> None:
    """The run that `delete` and `ours` share; finished stages are skipped."""
    recipe = ("--config", config) if config else ()
    splatpaint("fit", folder / "cover", "-o", folder / "run", "--resume", *recipe)


def telea(capture: Path, out: Path) -> None:
    """Fills the hole of every photo by itself."""
    import cv2

    for name in names(capture / "images"):
        photo = read_image(capture / "images" / f"{name}.png").permute(1, 2, 0).mul(255).round().byte().numpy()
        hole = read_mask(capture / "masks" / f"{name}.png")[0].byte().numpy()
        filled = cv2.inpaint(np.ascontiguousarray(photo), hole, TELEA_RADIUS_PX, cv2.INPAINT_TELEA)
        write_image(out / f"{name}.png", torch.from_numpy(filled).permute(2, 0, 1) / 255)


def summary(folder: Path, cards: Mapping[str, Scorecard]) -> dict:
    """Means of every method, where the ball lies, and how long the stages of the fit took."""
    stages = json.loads((folder / "run" / "metrics.json").read_text())
    seconds = {stage: round(values["seconds"], 1) for stage, values in stages.items() if "seconds" in values}
    means = {method: {name: _kept(value) for name, value in card.means.items()} for method, card in cards.items()}
    return {"ball": json.loads((folder / "cover" / "cover.json").read_text()), "seconds": seconds, "methods": means}


def _kept(value: float) -> float | None:
    """Four digits; null for the infinite PSNR of untouched pixels, which JSON cannot say."""
    return round(value, 4) if math.isfinite(value) else None


def _lpips(weights: Path | None) -> dict[str, Lpips]:
    """Both nets, or as many as have weights here."""
    found = {}
    for net in ("alex", "vgg"):
        try:
            found[net] = Lpips(net, weights=weights)
        except WeightsError as missing:
            print(f"note: {missing}")
    return found


if __name__ == "__main__":
    main()
