"""Time and memory of every stage of a run, for several recipes.

    python -m benchmarks.inpaint CAPTURE [--recipes defaults remove_fast] [--set A.B=C] [--repeats 3] [--json FILE]

Each run has a process of its own, so peak memory is measured per run. Recipes with the same reconstruction share that of the
first repeat and its time; later stages are timed in every repeat. The table has medians.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import environment, write_json
from benchmarks.scoring import text_table
from splatpaint.capture import inputs
from splatpaint.config import digest, load
from splatpaint.stages.config import RunConfig
from splatpaint.stages.folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
PHASES = ("capture", "locate", "reconstruct", "remove", "customize", "inpaint")

Phases = dict[str, dict[str, float]]
"""Measured numbers by phase."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["defaults", "remove_fast"], help="names in configs/, or defaults")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="for all recipes alike")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    runs: dict[str, list[Phases]] = {name: [] for name in arguments.recipes}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(arguments.repeats):
            for name in arguments.recipes:
                runs[name].append(measured(arguments.capture, name, arguments.set, Path(folder), repeat))
                print(f"{name} {repeat + 1}/{arguments.repeats}: {summary_line(runs[name][-1])}", flush=True)
    medians = {name: median(repeats) for name, repeats in runs.items()}
    print(text_table(table(medians)))
    if arguments.json:
        record = {"environment": environment(), "capture": arguments.capture.name, "settings": arguments.set}
        write_json(arguments.json, {**record, "repeats": arguments.repeats, "medians": medians, "runs": runs})


def measured(capture: Path, recipe: str, settings: Sequence[str], folder: Path, repeat: int) -> Phases:
    """Measured numbers of the phases of one run."""
    file = None if recipe == "defaults" else ROOT / "configs" / f"{recipe}.yaml"
    config = load(RunConfig, file, settings)
    shared = folder / f"reconstructed-{digest((config.capture, config.reconstruct, config.remove))}"
    run = folder / f"{recipe}-{repeat}"
    command = [sys.executable, "-m", "splatpaint", "fit", str(capture), "-o", str(run)]
    command += [*(["--config", str(file)] if file else []), *(word for setting in settings for word in ("--set", setting))]
    if shared.exists():
        # A new run folder with the config of the recipe and a copied reconstruction.
        with RunFolder.open(run, capture, config, files=inputs(capture, config.capture)):
            for stage in ("capture", "locate", "reconstruct"):
                shutil.copytree(shared / stage, run / stage)
        command.append("--resume")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if not shared.exists():
        shutil.copytree(run, shared)
    first, own = RunFolder.read(shared).metrics, RunFolder.read(run).metrics
    found = {**own, **{stage: first[stage] for stage in ("capture", "locate", "reconstruct")}}
    return {phase: finite(found[phase]) for phase in PHASES if phase in found}


def finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def median(repeats: Sequence[Phases]) -> Phases:
    """Median of every number over the repeats."""
    return {
        phase: {name: statistics.median(run[phase][name] for run in repeats) for name in values}
        for phase, values in repeats[0].items()
    }


def after_reconstruction(phases: Phases) -> float:
    """Seconds from a reconstruction to a filled scene."""
    return sum(values["seconds"] for phase, values in phases.items() if phase not in ("capture", "locate", "reconstruct"))


def summary_line(phases: Phases) -> str:
    return ", ".join(f"{phase} {values['seconds']:.1f} s" for phase, values in phases.items())


def table(medians: Mapping[str, Phases]) -> list[list[str]]:
    """One row per recipe."""
    rows = [["recipe", *(f"{phase} s" for phase in PHASES), "after reconstruction s", "peak MB"]]
    for name, phases in medians.items():
        seconds = [f"{phases[phase]['seconds']:.1f}" if phase in phases else "-" for phase in PHASES]
        peak = max(values["peak_memory_mb"] for values in phases.values())
        rows.append([name, *seconds, f"{after_reconstruction(phases):.1f}", f"{peak:.0f}"])
    return rows


if __name__ == "__main__":
    main()
