"""Helpers of the benchmarks: metrics, calls of the command line, pairing of images by name, image strips, tables."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from splatpaint.evaluation import Pair, Scorecard
from splatpaint.image.files import read_image, read_mask, write_image
from splatpaint.image.perceptual import WEIGHTS_VARIABLE
from splatpaint.stages.evaluate import Metrics, find_metrics


def load_metrics(weights: Path | None) -> Metrics:
    """The available metrics; prints which are missing.

    Args:
        weights: a folder with the trunks of LPIPS; also used by trainings with LPIPS in this process.
    """
    if weights is not None:
        os.environ[WEIGHTS_VARIABLE] = str(weights)
    metrics, missing = find_metrics(weights)
    for sentence in missing:
        print(f"note: {sentence}")
    return metrics


def splatpaint(*arguments: str | Path) -> None:
    """Runs the command line in a process of its own.

    Raises:
        SystemExit: with the exit code of the command, if it fails.
    """
    code = subprocess.run([sys.executable, "-m", "splatpaint", *map(str, arguments)]).returncode
    if code:
        raise SystemExit(code)


def names(folder: Path) -> list[str]:
    """The names of the images in a folder and its subfolders."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.png"))


def pairs(renders: Path, truths: Path, holes: Path) -> Iterator[Pair]:
    """Renders with the truths and holes of the same names."""
    for name in names(truths):
        file = f"{name}.png"
        yield Pair(name, read_image(renders / file), read_image(truths / file), read_mask(holes / file))


def write_strips(out: Path, columns: Sequence[Path], chosen: Sequence[str]) -> None:
    """Writes one image with a row per view and a column per folder."""
    rows = [torch.cat([read_image(folder / f"{name}.png") for folder in columns], dim=2) for name in chosen]
    write_image(out, torch.cat(rows, dim=1))


def largest_holes(holes: Path, count: int, *, among: Sequence[str]) -> list[str]:
    """The view with the largest hole in each of `count` equal parts of the sorted names."""
    every = sorted(among)
    parts = [every[i * len(every) // count : (i + 1) * len(every) // count] for i in range(count)]
    return [max(part, key=lambda name: _area(holes / f"{name}.png")) for part in parts if part]


def score_table(cards: Mapping[str, Scorecard], columns: Sequence[str]) -> list[list[str]]:
    """A header row, then one row per method: the mean of every column over its views, or a dash."""
    rows = [["method", *columns]]
    for method, card in cards.items():
        means = card.means
        rows.append([method, *(f"{means[name]:.{_digits(name)}f}" if name in means else "-" for name in columns)])
    return rows


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first column is left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)] for row in rows
    )
    return "\n".join("  ".join(line) for line in lines)


def _area(mask: Path) -> float:
    pixels: Tensor = read_mask(mask)
    return pixels.sum().item()


def _digits(name: str) -> int:
    return 2 if name.startswith("psnr") else 3
