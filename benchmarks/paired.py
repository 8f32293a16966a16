"""The first tables of a removal result: ours against the best other method, task by task."""

import math
import statistics
from collections.abc import Mapping, Sequence

Scores = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | str]]]]
"""Scores by task, method, seed and metric."""

PAIRED = ("psnr/hole", "ssim/hole", "lpips_alex/hole", "lpips_vgg/hole", "flip/hole", "psnr/ring")
NO_RIVALS = ("photos",)
"""The truth is no method."""


def paired_table(results: Scores) -> list[list[str]]:
    """A header row, then one row per metric: the mean over tasks of the difference of ours minus the best other method of that
    task, with its standard error over tasks, in how many tasks ours is better, and the worst task with its difference.

    Seeds are averaged first. The best other method is chosen anew for each task and metric, with knowledge of the truth: a bar
    that no single method reaches. Variants of ours are no others. Empty but for the header without ours and another method.
    """
    rows = [["ours - best other", "mean", "standard error", "better in", "worst task"]]
    for metric in PAIRED:
        higher = metric.startswith(("psnr", "ssim"))
        differences = {}
        for task, by_method in results.items():
            means = {name: value for name in by_method if (value := _mean(by_method[name], metric)) is not None}
            others = [value for name, value in means.items() if not name.startswith("ours") and name not in NO_RIVALS]
            if "ours" in means and others:
                differences[task] = means["ours"] - (max if higher else min)(others)
        if not differences:
            continue
        gains = {task: value if higher else -value for task, value in differences.items()}
        worst = min(gains, key=gains.__getitem__)
        digits = 2 if metric.startswith("psnr") else 3
        values = list(differences.values())
        error = f"{statistics.stdev(values) / math.sqrt(len(values)):.{digits}f}" if len(values) > 1 else "-"
        better = f"{sum(gain > 0 for gain in gains.values())} of {len(gains)}"
        worst_cell = f"{worst} {differences[worst]:+.{digits}f}"
        rows.append([metric, f"{statistics.fmean(values):+.{digits}f}", error, better, worst_cell])
    return rows


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


def _mean(by_seed: Mapping[str, Mapping[str, float | str]], metric: str) -> float | None:
    """The mean over seeds that have the metric; None if none has."""
    values = [float(scores[metric]) for scores in by_seed.values() if metric in scores]
    return statistics.fmean(values) if values else None
