"""Benchmark of object removal from real captures with ground truth: splatpaint and alternatives.

    python -m benchmarks.removal CAPTURES --suite small [-o runs/removal] [--weights FOLDER] [--tasks ...] [--methods ...]

CAPTURES is the folder that holds the captures. A task has a synthetic occluder rendered into every photo
(occluder_task.py, synthetic_occluders.py). Methods (methods.py) get the occluded photos and the masks of the occluder, and
are scored against the original photos. The task `room` is synthetic (synthetic_room.py). `sparse` tasks keep every 4th view.
Changes are judged on the suite `grown`. The suite `untouched` decides nothing while the code changes: it is scored once, at the
end, and its scores are published whatever they are.

All views are fitted, but only some, evenly spread, are rendered and scored: rendering all takes a NeRF longer than its fit.
Results stay in the output folder: methods with scores are skipped, interrupted fits are resumed. Tasks are independent, so
several processes may work on one folder with different `--tasks`; a last run without `--tasks` makes the table.
With `--hold-out 8` every 8th view is held out of every fit, and judged by itself beside all views; `telea-2d` has no scene and
paints on the held-out photo itself.
Regions and metrics are those of `splatpaint eval`. LPIPS of the hole is computed with the truth around the hole, because
telea-2d keeps the photo there and renders do not. The first table has ours minus the best other method, task by task, the
second ours minus every other method, with standard errors over tasks and over seeds (paired.py); the last one means and
standard deviations over tasks and seeds.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import commit, environment, write_json
from benchmarks.methods import ABLATIONS, ADDITIONS, FORCED, method
from benchmarks.nerfacto import NerfactoError
from benchmarks.occluder_placement import Spot
from benchmarks.occluder_task import make_occluder_task
from benchmarks.paired import paired_by_method, paired_table, ring_by_shape
from benchmarks.protocol import Draw
from benchmarks.scoring import largest_holes, load_metrics, names, text_table, write_strips
from benchmarks.synthetic_occluders import SHAPES, Shape
from benchmarks.synthetic_room import make_room
from benchmarks.video_with_poses import is_video_with_poses, write_transforms
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
    *("psnr/ring", "psnr/full", "psnr/consistency", "lpips_alex/consistency", "depth/consistency"),
    *("hole/mask", "open", "seconds"),
)
SPARSE = 4
SPOTS = {"lund_street": Spot("09", 0.5, 0.72)}
"""Manual placements, for captures whose ground has no sparse points."""


@dataclass(frozen=True)
class Task:
    """An occluder in a capture."""

    capture: str
    """Name of a captured folder, or `room`."""
    shape: Shape = "ball"
    sparse: bool = False

    @property
    def name(self) -> str:
        """The name of its folder."""
        return "-".join([self.capture, *([self.shape] if self.capture != "room" else []), *(["sparse"] if self.sparse else [])])


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: if the name is no task.
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
    """Tasks, methods and settings of a benchmark."""

    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    max_resolution: int
    max_scored_views: int = 24
    """Number of views of a task that are rendered and scored, at most; held-out ones come on top."""
    hold_out: int = 0
    """Every n-th view is held out of every fit and judged by itself, too; 0 = none."""
    settings: tuple[str, ...] = ()
    """Settings that differ from the default recipe, for all methods."""


GROWN = ("lund_street", "snowmiku", "gum", "juice_carton", "fruit")
"""Captures with different things in them: a street, bedding, a desk, a white table, a patterned cloth."""
UNTOUCHED = ("redkitchen", "kermit", "llff_fern")
"""Captures on which nothing is decided: a video with noisy poses, eleven photos, a forward-facing one."""
FAST = (
    *("reconstruct.steps=800", "reconstruct.density.max_splats=20000"),
    *("inpaint.steps=200", "inpaint.views=32"),
)
"""Settings at 160 px."""
COMPARED = ("ours", "diffusion", "telea", "telea-2d")

SUITES = {
    # Two captures at the default recipe.
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
    # Hours. All shapes, both captures, a sparse task, and the synthetic room.
    "full": Suite(
        tasks=(
            *(Task("lund_street", shape) for shape in ("ball", "box")),
            *(Task("snowmiku", shape) for shape in ("disc", "scribble")),
            Task("snowmiku", "ball", sparse=True),
            Task("room"),
        ),
        methods=(
            *("delete", "telea-2d", "telea", "diffusion", "diffusion-perceptual", "ours", "ours-telea"),
            *(f"ours-{way}" for way in FORCED),
            *(f"ours-{part}" for part in ABLATIONS),
            *(f"ours+{part}" for part in ADDITIONS),
            *("nerf", "nerf-ours", "nerfacto", "photos"),
        ),
        seeds=(0, 1, 2),
        max_resolution=160,
        max_scored_views=12,
        settings=FAST,
    ),
    # Five captures and every shape: what changes are judged on.
    "grown": Suite(
        tasks=(
            *(Task(capture, shape) for capture in GROWN for shape in SHAPES),
            Task("room"),
            Task("snowmiku", "ball", sparse=True),
        ),
        methods=COMPARED,
        seeds=(0, 1, 2),
        max_resolution=160,
        max_scored_views=12,
        settings=FAST,
    ),
    # Decides nothing while the code changes; scored once, at the end.
    "untouched": Suite(
        tasks=tuple(Task(capture, shape) for capture in UNTOUCHED for shape in SHAPES),
        methods=COMPARED,
        seeds=(0, 1, 2),
        max_resolution=160,
        max_scored_views=12,
        settings=FAST,
    ),
}


def main() -> None:
    arguments = parse_arguments()
    suite = suite_of(arguments)
    metrics = load_metrics(arguments.weights)
    commit()  # caches the commit of the loaded code; the checkout may change during the run
    out = arguments.json or ROOT / "benchmarks" / "results" / f"removal-{arguments.suite}.json"
    settings = {
        "suite": arguments.suite,
        "max_resolution": suite.max_resolution,
        "judged": suite.max_scored_views,
        "hold_out": suite.hold_out,
        "settings": list(suite.settings),
        "config": arguments.config.name if arguments.config else "defaults",
    }
    results = read_scores(out, settings) if arguments.add else {}
    # Seeds are the outer loop: an interrupted run has a complete table of fewer seeds.
    for seed in suite.seeds:
        for task in suite.tasks:
            folder = arguments.output / f"{task.name}-{suite.max_resolution}"
            cache = arguments.output / "captures"
            make_task(task, arguments.captures, folder / "task", cache=cache, max_resolution=suite.max_resolution)
            config = config_of(suite, arguments.config, seed)
            for name in suite.methods:
                try:
                    scores = score_method(name, folder, config, metrics, max_views=suite.max_scored_views)
                except NerfactoError as reason:
                    print(f"{task.name} {name} {seed}: skipped, {reason}", flush=True)
                    continue
                results.setdefault(task.name, {}).setdefault(name, {})[str(seed)] = scores
                line = ", ".join(f"{key} {scores[key]:.3f}" for key in COLUMNS if key in scores)
                print(f"{task.name} {name} {seed}: {line}", flush=True)
            write_pictures(folder, [name for name in suite.methods if name in results[task.name]], seed)
    methods = dict.fromkeys(name for by_method in results.values() for name in by_method)
    rows = summary(results, list(methods))
    paired, others, rings = paired_table(results), paired_by_method(results), ring_by_shape(results, SHAPES)
    if suite.hold_out:
        names_of = [f"{column}/held-out" for column in COLUMNS if "/" in column and not column.startswith("hole/")]
        print(f"\nheld-out views:\n{text_table(summary(results, list(methods), names_of))}")
    print(f"\n{text_table(paired)}\n\nours - method, ± error over tasks / over seeds:\n{text_table(others)}")
    print(f"\n{text_table(rings)}")
    print(f"\nmean over {len(results)} tasks and their seeds (± standard deviation):\n{text_table(rows)}")
    write_json(
        out,
        {"environment": environment(), **settings, "paired": paired, "by_method": others}
        | {"rings": rings, "table": rows, "scores": results},
    )


Scores = dict[str, dict[str, dict[str, dict[str, float | str]]]]
"""Scores by task, method, seed and metric; `commit` is the commit of the measurement."""


def read_scores(file: Path, settings: Mapping[str, object]) -> Scores:
    """The scores of an earlier run; empty if there is none.

    Raises:
        SystemExit: if the earlier run had another suite or other settings.
    """
    if not file.exists():
        return {}
    record = json.loads(file.read_text())
    if differing := [name for name, value in settings.items() if record.get(name, 0) != value]:
        raise SystemExit(f"{file} was measured with another {' and '.join(differing)}: give another --json, or do not --add")
    return record["scores"]


def write_pictures(folder: Path, methods: Sequence[str], seed: int) -> None:
    """Writes a strip of some views of a task, with one column per method."""
    columns = [folder / "task" / "truth", folder / "task" / "images"]
    columns += [folder / f"seed-{seed}" / "pictures" / name for name in methods]
    out = folder / f"strips-{seed}.png"
    write_strips(out, columns, largest_holes(folder / "task" / "masks", 6, among=names(columns[-1])))
    print(f"truth | input | {' | '.join(methods)}: {out}", flush=True)


def parse_arguments() -> argparse.Namespace:
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
    parser.add_argument(
        "--hold-out", type=int, metavar="N", default=0, help="hold every N-th view out, and judge it by itself too"
    )
    parser.add_argument("--config", type=Path, help="recipe of all fits; the defaults otherwise")
    parser.add_argument("--weights", type=Path, help="folder with the LPIPS trunks")
    parser.add_argument("--json", type=Path, help="where the scores go, benchmarks/results/removal-SUITE.json if not given")
    parser.add_argument("--add", action="store_true", help="keep the scores that are in that file, but for those measured anew")
    return parser.parse_args()


def suite_of(arguments: argparse.Namespace) -> Suite:
    """The suite, with the changes of the arguments."""
    suite = SUITES[arguments.suite]
    return replace(
        suite,
        tasks=tuple(arguments.tasks or suite.tasks),
        methods=tuple(arguments.methods or suite.methods),
        seeds=tuple(arguments.seeds or suite.seeds),
        max_resolution=arguments.max_resolution or suite.max_resolution,
        hold_out=arguments.hold_out,
    )


def config_of(suite: Suite, file: Path | None, seed: int) -> RunConfig:
    """The config of all methods."""
    tree = to_tree(load(RunConfig, file))
    held_out = [f"capture.test_every={suite.hold_out}"] if suite.hold_out else []
    for assignment in (*suite.settings, *held_out, f"seed={seed}", f"capture.max_resolution={suite.max_resolution}"):
        tree = override(tree, assignment)
    return config_from_tree(RunConfig, tree)


def make_task(task: Task, captures: Path, folder: Path, *, cache: Path, max_resolution: int) -> None:
    """Makes the capture of the task unless it exists.

    Args:
        task: what to make.
        captures: the folder that holds the captures.
        folder: where the task goes.
        cache: folder of prepared captures, which tasks share.
        max_resolution: longest image side in pixels.
    """
    if (folder / "transforms.json").exists():
        return
    if task.capture == "room":
        width = min(max_resolution, 320)
        make_room(folder, size=(width, width * 3 // 4))
        return
    source = captures / task.capture
    if is_video_with_poses(source):
        source = write_transforms(source, cache / task.capture)
    capture = drain(prepare(source, CaptureConfig(max_resolution=max_resolution), cache=cache / task.capture))
    if task.sparse:
        capture = replace(capture, views=capture.views[::SPARSE])
    make_occluder_task(capture, folder, shape=task.shape, spot=SPOTS.get(task.capture))


def score_method(name: str, folder: Path, config: RunConfig, metrics: Metrics, *, max_views: int) -> dict[str, float | str]:
    """The mean scores of a method and their commit; read from disk if it has been run before."""
    work = folder / f"seed-{config.seed}"
    refuse_other_settings(work, config)
    file = work / "scores" / f"{name}.json"
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        capture = drain(prepare(folder / "task", config.capture, cache=work / "cache"))
        views = spread(capture.all_views, max_views)
        views = [*views, *(view for view in capture.held_out if view.name not in {each.name for each in views})]
        fitted = method(name).fit(folder / "task", work, config, views)
        scores = score_views(fitted.draw, views, folder / "task" / "truth", work / "pictures" / name, metrics)
        if capture.held_out:
            truth, pictures = folder / "task" / "truth", work / "pictures" / name
            of_held_out = score_views(fitted.draw, capture.held_out, truth, pictures, metrics)
            scores |= {f"{key}/held-out": value for key, value in of_held_out.items()}
        # An infinite PSNR (unchanged pixels) cannot be averaged, nor written as JSON.
        finite = {key: value for key, value in {**scores, **fitted.scores}.items() if math.isfinite(value)}
        write_json(file, {"commit": commit(), **finite, "seconds": fitted.seconds})
    return json.loads(file.read_text())


def refuse_other_settings(work: Path, config: RunConfig) -> None:
    """Checks that the folder has scores of these settings only.

    Raises:
        SystemExit: if the folder was started with other settings.
    """
    file, tree = work / "config.json", json.loads(json.dumps(to_tree(config)))
    if not file.exists():
        write_json(file, tree)
    elif json.loads(file.read_text()) != tree:
        raise SystemExit(f"{work} was begun with other settings: choose another folder with -o, or remove this one")


def score_views(draw: Draw, views: Sequence[View], truth: Path, pictures: Path, metrics: Metrics) -> dict[str, float]:
    """Renders views, writes them to `pictures`, and scores them."""
    holes: list[RenderedHole] = []

    def pairs() -> Iterator[Pair]:
        for view in views:
            assert view.fill_mask is not None
            drawn, hole = draw(view), read_mask(view.fill_mask)
            write_image(pictures / f"{view.name}.png", drawn.color[0])
            if hole.any():
                holes.append(RenderedHole(view.camera, drawn.color, drawn.depth, hole[None]))
            yield Pair(view.name, drawn.color[0], read_image(truth / f"{view.name}.png"), hole)

    means = evaluate(pairs(), lpips=metrics.lpips, flip=metrics.flip, lpips_of_full=False).means
    return means | consistency(holes, lpips={net: lpips for net, lpips in metrics.lpips.items() if net == "alex"})


def summary(results: Scores, methods: Sequence[str], columns: Sequence[str] = COLUMNS) -> list[list[str]]:
    """A header row, then one row per method: number of runs, mean and standard deviation of every column over tasks and
    seeds."""
    rows = [["method", "runs", *columns]]
    for name in methods:
        runs = [scores for by_method in results.values() for scores in by_method.get(name, {}).values()]
        cells = (_cell([float(scores[column]) for scores in runs if column in scores], column) for column in columns)
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
