"""Removal from real captures with known truth: splatpaint beside what one would do instead.

    python -m benchmarks.removal CAPTURES --suite small [-o runs/removal] [--weights FOLDER] [--tasks ...] [--methods ...]

CAPTURES is the folder that holds the captures. A task hides part of a surface behind a virtual thing in every photo (see
benchmarks/cover.py and things.py); methods (benchmarks/methods.py) see the covered photos and the thing's masks, and are judged
against the untouched photos. The room is made by splatpaint itself, and its truth is exact. `sparse` tasks keep every 4th view.

Of a capture with many views, all are fitted and some, evenly spread, are judged: drawing the others takes the NeRFs longer than
their fit. What is done stays in the output folder: a method that has its scores is skipped, an interrupted fit resumed. Tasks
know nothing of each other, so several processes may work on one folder, each on its own `--tasks`; a last run without them puts
the table together.
Regions and metrics are those of `splatpaint eval`. LPIPS of the hole is taken with the truth everywhere around it, since
telea-2d keeps the photo there and renders do not. The table is the mean over tasks and seeds, with the standard deviation.
"""

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import commit, environment, write_json
from benchmarks.methods import ABLATIONS, ADDITIONS, method
from benchmarks.nerfacto import NerfactoError
from benchmarks.occluder_placement import Spot, make_cover
from benchmarks.protocol import Draw
from benchmarks.scoring import instruments_of, largest_holes, names, text_table, write_strips
from benchmarks.synthetic_occluders import SHAPES, Shape
from benchmarks.synthetic_room import make_room
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.config import from_tree as config_from_tree
from splatpaint.config import load, override, to_tree
from splatpaint.evaluation import Pair, evaluate
from splatpaint.evaluation.consistency import RenderedHole, consistency
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image
from splatpaint.scene.views import View, spread
from splatpaint.stages.config import RunConfig
from splatpaint.stages.evaluate import Metrics

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    *("psnr/hole", "ssim/hole", "lpips_alex/hole", "lpips_vgg/hole", "flip/hole"),
    *("psnr/ring", "psnr/full", "psnr/consistency", "lpips_alex/consistency", "depth/consistency", "seconds"),
)
SPARSE = 4
SPOTS = {"lund_street": Spot("09", 0.5, 0.72)}
"""Where a person had to choose: the ground of this capture has no sparse points."""


@dataclass(frozen=True)
class Task:
    """A thing in a capture."""

    capture: str
    """Name of a captured folder, or `room`."""
    shape: Shape = "ball"
    sparse: bool = False

    @property
    def name(self) -> str:
        """Names its folder."""
        return "-".join([self.capture, *([self.shape] if self.capture != "room" else []), *(["sparse"] if self.sparse else [])])


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: if it is none.
    """
    if name == "room":
        return Task("room")
    capture, _, rest = name.partition("-")
    sparse = rest.endswith("-sparse")
    shape = rest.removesuffix("-sparse")
    if shape not in SHAPES:
        raise ValueError(
            f"{name} is no task: give room, or a capture, a shape ({', '.join(SHAPES)}) and maybe sparse, as fox-box"
        )
    return Task(capture, shape, sparse)


@dataclass(frozen=True)
class Suite:
    """What is run when nothing else is asked for."""

    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    max_resolution: int
    judged: int = 24
    """At most so many views of a task are drawn and measured."""
    settings: tuple[str, ...] = ()
    """Differ from the default recipe, for all methods alike."""


SUITES = {
    # The two captures of the cover test, at the default recipe.
    "cover": Suite(
        tasks=(Task("lund_street"), Task("snowmiku")), methods=("delete", "telea-2d", "ours"), seeds=(0,), max_resolution=480
    ),
    # Half an hour on two processor cores.
    "small": Suite(
        tasks=tuple(Task(capture, shape) for capture in ("lund_street", "snowmiku") for shape in ("ball", "disc")),
        methods=("delete", "telea-2d", "telea", "diffusion", "ours", "photos"),
        seeds=(0,),
        max_resolution=320,
        settings=("reconstruct.steps=1200", "reconstruct.density.max_splats=50000"),
    ),
    # Hours. Every shape, both captures, few views, a room of which everything is known.
    "full": Suite(
        tasks=(
            *(Task("lund_street", shape) for shape in ("ball", "box")),
            *(Task("snowmiku", shape) for shape in ("disc", "scribble")),
            Task("snowmiku", "ball", sparse=True),
            Task("room"),
        ),
        methods=(
            *("delete", "telea-2d", "telea", "diffusion", "diffusion-perceptual", "ours"),
            *(f"ours-{part}" for part in ABLATIONS),
            *(f"ours+{part}" for part in ADDITIONS),
            *("nerf", "nerf-ours", "nerfacto", "photos"),
        ),
        seeds=(0, 1, 2),
        max_resolution=160,
        judged=12,
        settings=(
            *("reconstruct.steps=800", "reconstruct.density.max_splats=20000"),
            *("inpaint.steps=200", "inpaint.views=32"),
        ),
    ),
}


def main() -> None:
    arguments = parsed()
    suite = chosen(arguments)
    instruments = instruments_of(arguments.weights)
    commit()  # of the code that is loaded, whatever is checked out meanwhile
    out = arguments.json or ROOT / "benchmarks" / "results" / f"removal-{arguments.suite}.json"
    asked = {
        "suite": arguments.suite,
        "max_resolution": suite.max_resolution,
        "judged": suite.judged,
        "settings": list(suite.settings),
        "config": arguments.config.name if arguments.config else "defaults",
    }
    results = read_scores(out, asked) if arguments.add else {}
    # Seeds outermost: what has been done when the user interrupts is a whole table of fewer seeds.
    for seed in suite.seeds:
        for task in suite.tasks:
            folder = arguments.output / f"{task.name}-{suite.max_resolution}"
            make_task(task, arguments.captures, folder / "task", max_resolution=suite.max_resolution)
            config = configured(suite, arguments.config, seed)
            for name in suite.methods:
                try:
                    scores = scored(name, folder, config, instruments, most=suite.judged)
                except NerfactoError as reason:
                    print(f"{task.name} {name} {seed}: skipped, {reason}", flush=True)
                    continue
                results.setdefault(task.name, {}).setdefault(name, {})[str(seed)] = scores
                told = ", ".join(f"{key} {scores[key]:.3f}" for key in COLUMNS if key in scores)
                print(f"{task.name} {name} {seed}: {told}", flush=True)
            write_pictures(folder, [name for name in suite.methods if name in results[task.name]], seed)
    methods = dict.fromkeys(name for by_method in results.values() for name in by_method)
    rows = summary(results, list(methods))
    print(f"\nmean over {len(results)} tasks and their seeds (± standard deviation):\n{text_table(rows)}")
    write_json(out, {"environment": environment(), **asked, "table": rows, "scores": results})


Scores = dict[str, dict[str, dict[str, dict[str, float | str]]]]
"""By task, method, seed and metric; `commit` is the one that they were measured at."""


def read_scores(file: Path, asked: Mapping[str, object]) -> Scores:
    """The scores of an earlier run; none if there was none.

    Raises:
        SystemExit: if that was of another suite or other settings.
    """
    if not file.exists():
        return {}
    record = json.loads(file.read_text())
    if differing := [name for name, value in asked.items() if record[name] != value]:
        raise SystemExit(f"{file} was measured with another {' and '.join(differing)}: give another --json, or do not --add")
    return record["scores"]


def write_pictures(folder: Path, methods: Sequence[str], seed: int) -> None:
    """Some views of a task, as every method shows them."""
    columns = [folder / "task" / "truth", folder / "task" / "images"]
    columns += [folder / f"seed-{seed}" / "pictures" / name for name in methods]
    out = folder / f"strips-{seed}.png"
    write_strips(out, columns, largest_holes(folder / "task" / "masks", 6, among=names(columns[-1])))
    print(f"truth | input | {' | '.join(methods)}: {out}", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/removal"))
    parser.add_argument("--suite", choices=SUITES, default="small")
    parser.add_argument(
        "--tasks",
        nargs="+",
        type=task_of,
        metavar="NAME",
        help="in place of the suite's: room, or a capture and a shape, fox-box",
    )
    parser.add_argument("--methods", nargs="+", help="these methods in place of the suite's")
    parser.add_argument("--seeds", nargs="+", type=int, help="these seeds in place of the suite's")
    parser.add_argument("--max-resolution", type=int, help="in place of the suite's")
    parser.add_argument("--config", type=Path, help="recipe of all fits; the defaults otherwise")
    parser.add_argument("--weights", type=Path, help="folder with the LPIPS trunks")
    parser.add_argument("--json", type=Path, help="where the scores go, benchmarks/results/removal-SUITE.json if not given")
    parser.add_argument("--add", action="store_true", help="keep the scores that are in that file, but for those measured anew")
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> Suite:
    """The suite with what the arguments change."""
    suite = SUITES[arguments.suite]
    return replace(
        suite,
        tasks=tuple(arguments.tasks or suite.tasks),
        methods=tuple(arguments.methods or suite.methods),
        seeds=tuple(arguments.seeds or suite.seeds),
        max_resolution=arguments.max_resolution or suite.max_resolution,
    )


def configured(suite: Suite, file: Path | None, seed: int) -> RunConfig:
    """What every method reconstructs with."""
    tree = to_tree(load(RunConfig, file))
    for assignment in (*suite.settings, f"seed={seed}", f"capture.max_resolution={suite.max_resolution}"):
        tree = override(tree, assignment)
    return config_from_tree(RunConfig, tree)


def make_task(task: Task, captures: Path, folder: Path, *, max_resolution: int) -> None:
    """Makes the task's capture unless it is there."""
    if (folder / "transforms.json").exists():
        return
    if task.capture == "room":
        width = min(max_resolution, 320)
        make_room(folder, size=(width, width * 3 // 4))
        return
    with tempfile.TemporaryDirectory() as cache:
        config = CaptureConfig(max_resolution=max_resolution)
        capture = drain(prepare(captures / task.capture, config, cache=Path(cache)))
        if task.sparse:
            capture = replace(capture, views=capture.views[::SPARSE])
        make_cover(capture, folder, shape=task.shape, spot=SPOTS.get(task.capture))


def scored(name: str, folder: Path, config: RunConfig, instruments: Metrics, *, most: int) -> dict[str, float | str]:
    """The method's mean scores and their commit, from disk if it has been run before."""
    work = folder / f"seed-{config.seed}"
    refuse_other_settings(work, config)
    file = work / "scores" / f"{name}.json"
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        capture = drain(prepare(folder / "task", config.capture, cache=work / "cache"))
        views = spread(capture.all_views, most)
        fitted = method(name).fit(folder / "task", work, config, views)
        scores = judged(fitted.draw, views, folder / "task" / "truth", work / "pictures" / name, instruments)
        # An infinite PSNR (pixels that were never touched) is no number to average, nor one that JSON can say.
        finite = {key: value for key, value in scores.items() if math.isfinite(value)}
        write_json(file, {"commit": commit(), **finite, "seconds": fitted.seconds})
    return json.loads(file.read_text())


def refuse_other_settings(work: Path, config: RunConfig) -> None:
    """Scores of different settings must not end in one table.

    Raises:
        SystemExit: if the folder was begun with others.
    """
    file, tree = work / "config.json", json.loads(json.dumps(to_tree(config)))
    if not file.exists():
        write_json(file, tree)
    elif json.loads(file.read_text()) != tree:
        raise SystemExit(f"{work} was begun with other settings: choose another folder with -o, or remove this one")


def judged(draw: Draw, views: Sequence[View], truth: Path, pictures: Path, instruments: Metrics) -> dict[str, float]:
    """Draws views (the pictures are kept) and measures them."""
    seen: list[RenderedHole] = []

    def pairs() -> Iterator[Pair]:
        for view in views:
            assert view.fill_mask is not None
            drawn, hole = draw(view), read_mask(view.fill_mask)
            write_image(pictures / f"{view.name}.png", drawn.color[0])
            if hole.any():
                seen.append(RenderedHole(view.camera, drawn.color, drawn.depth, hole[None]))
            yield Pair(view.name, drawn.color[0], read_image(truth / f"{view.name}.png"), hole)

    means = evaluate(pairs(), lpips=instruments.lpips, flip=instruments.flip, lpips_of_full=False).means
    return means | consistency(seen, lpips={net: lpips for net, lpips in instruments.lpips.items() if net == "alex"})


def summary(results: Scores, methods: Sequence[str]) -> list[list[str]]:
    """A head row, and a row a method: how often it was run, mean and spread of every column over tasks and seeds."""
    rows = [["method", "runs", *COLUMNS]]
    for name in methods:
        runs = [scores for by_method in results.values() for scores in by_method.get(name, {}).values()]
        cells = (_cell([float(scores[column]) for scores in runs if column in scores], column) for column in COLUMNS)
        rows.append([name, str(len(runs)), *cells])
    return rows


def _cell(values: Sequence[float], column: str) -> str:
    if not values:
        return "-"
    digits = {"psnr": 2, "seconds": 0}.get(column.split("/")[0], 3)
    spread = f" ±{statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


if __name__ == "__main__":
    main()
