"""The first tables of a removal result: ours against other methods, paired by task and seed.

Differences are taken between runs of the same task and seed, with the same photos, masks and settings: what makes one task
harder than another cancels. Two errors say how far a mean can be trusted: the standard error over tasks says whether other
tasks would give the same sign, the one over seeds whether another run of the same tasks would.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

Scores = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | str]]]]
"""Scores by task, method, seed and metric."""
Differences = Mapping[str, Mapping[str, float]]
"""Differences by task and seed."""

PAIRED = ("psnr/hole", "ssim/hole", "lpips_alex/hole", "lpips_vgg/hole", "flip/hole", "psnr/ring")
HELD_OUT = tuple(f"{metric}/held-out" for metric in PAIRED)
"""The same in views that were held out of every fit, where there are any."""
NO_RIVALS = ("photos",)
"""The truth is no method."""


def paired_table(results: Scores) -> list[list[str]]:
    """A header row, then one row per metric: the mean over tasks of the difference of ours minus the best other method of that
    task, with its standard errors over tasks and over seeds, in how many tasks ours is better, and the worst task with its
    difference.

    Only seeds that both methods have count; they are averaged first. The best other method is chosen anew for each task and
    metric, with knowledge of the truth: a bar that no single method reaches. Variants of ours are no others. Empty but for the
    header without ours and another method.
    """
    rows = [["ours - best other", "mean", "error over tasks", "error over seeds", "better in", "worst task"]]
    for metric in (*PAIRED, *HELD_OUT):
        differences = {}
        for task, by_method in results.items():
            others = [differences_of(by_method, name, metric) for name in by_method if is_rival(name)]
            if others := [each for each in others if each]:
                differences[task] = min(others, key=lambda each: _gain(metric) * statistics.fmean(each.values()))
        if not differences:
            continue
        means = {task: statistics.fmean(by_seed.values()) for task, by_seed in differences.items()}
        gains = {task: _gain(metric) * mean for task, mean in means.items()}
        worst = min(gains, key=gains.__getitem__)
        digits = _digits(metric)
        errors = (standard_error(means.values()), error_over_seeds(differences))
        rows.append(
            [
                metric,
                f"{statistics.fmean(means.values()):+.{digits}f}",
                *("-" if error is None else f"{error:.{digits}f}" for error in errors),
                f"{sum(gain > 0 for gain in gains.values())} of {len(gains)}",
                f"{worst} {means[worst]:+.{digits}f}",
            ]
        )
    return rows


def paired_by_method(results: Scores) -> list[list[str]]:
    """A header row, then one row per other method, variants of ours included: the number of tasks that both have, and per
    metric the mean over tasks of ours minus that method ± its standard error over tasks, and behind a slash that over
    seeds."""
    methods = dict.fromkeys(name for by_method in results.values() for name in by_method)
    measured = {metric for by in results.values() for seeds in by.values() for scores in seeds.values() for metric in scores}
    metrics = [metric for metric in (*PAIRED, *HELD_OUT) if metric in measured]
    rows = [["ours - method", "tasks", *metrics]]
    for name in methods:
        if name == "ours" or name in NO_RIVALS:
            continue
        cells, tasks = [], 0
        for metric in metrics:
            found = {task: differences_of(by_method, name, metric) for task, by_method in results.items()}
            found = {task: by_seed for task, by_seed in found.items() if by_seed}
            tasks = max(tasks, len(found))
            cells.append(_cell(found, _digits(metric)))
        rows.append([name, str(tasks), *cells])
    return rows


def is_rival(name: str) -> bool:
    """Whether a method is another one than ours."""
    return not name.startswith("ours") and name not in NO_RIVALS


def differences_of(
    by_method: Mapping[str, Mapping[str, Mapping[str, float | str]]], other: str, metric: str
) -> dict[str, float]:
    """Ours minus another method by seed, for the seeds of a task for which both have the metric."""
    ours, theirs = by_method.get("ours", {}), by_method.get(other, {})
    both = [seed for seed in ours if metric in ours[seed] and metric in theirs.get(seed, {})]
    return {seed: float(ours[seed][metric]) - float(theirs[seed][metric]) for seed in both}


def error_over_seeds(differences: Differences) -> float | None:
    """The standard error of the mean over tasks, from its spread over the seeds that every task has; None with fewer than
    two."""
    seeds = set.intersection(*(set(by_seed) for by_seed in differences.values()))
    return standard_error(statistics.fmean(by_seed[seed] for by_seed in differences.values()) for seed in sorted(seeds))


def standard_error(values: Iterable[float]) -> float | None:
    """Standard error of the mean of independent values; None for fewer than two."""
    listed = list(values)
    return statistics.stdev(listed) / math.sqrt(len(listed)) if len(listed) > 1 else None


def ring_by_shape(results: Scores, shapes: Sequence[str]) -> list[list[str]]:
    """A header row, then one row per method: PSNR of the ring, the mean over the tasks of every shape, sparse ones included."""
    methods = dict.fromkeys(name for by_method in results.values() for name in by_method)
    rows = [["ring PSNR", *shapes]]
    for name in methods:
        cells = []
        for shape in shapes:
            of_shape = [by for task, by in results.items() if shape in task.split("-")[1:]]
            means = [value for by in of_shape if name in by and (value := _mean(by[name], "psnr/ring")) is not None]
            cells.append(f"{statistics.fmean(means):.2f}" if means else "-")
        rows.append([name, *cells])
    return rows


def _cell(differences: Differences, digits: int) -> str:
    if not differences:
        return "-"
    means = [statistics.fmean(by_seed.values()) for by_seed in differences.values()]
    tasks, seeds = standard_error(means), error_over_seeds(differences)
    cell = f"{statistics.fmean(means):+.{digits}f}"
    cell += "" if tasks is None else f" ± {tasks:.{digits}f}"
    return cell + ("" if seeds is None else f" / {seeds:.{digits}f}")


def _gain(metric: str) -> int:
    """1 if more is better, -1 if less is."""
    return 1 if metric.startswith(("psnr", "ssim")) else -1


def _digits(metric: str) -> int:
    return 2 if metric.startswith("psnr") else 3


def _mean(by_seed: Mapping[str, Mapping[str, float | str]], metric: str) -> float | None:
    """The mean over seeds that have the metric; None if none has."""
    values = [float(scores[metric]) for scores in by_seed.values() if metric in scores]
    return statistics.fmean(values) if values else None
