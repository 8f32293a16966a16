"""Views whose poses contradict the others: found once, after the reconstruction, and kept beside it."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from jaxtyping import Float
from torch import Tensor

from splatpaint.events import Events, Noted
from splatpaint.fit.contradicting_views import contradicting, view_fits
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture
from splatpaint.stages.folder import damaged, read_json, write_whole

FILE = "contradicting_views.json"
MAX_LISTED = 10
"""Names and ranges of names in a sentence."""


def find_contradicting(
    splats: Splats, photos: Photos, points: Float[Tensor, "n 3"], rasterizer: Rasterizer, *, stage: str
) -> Events[tuple[str, ...]]:
    """The supervising views whose poses contradict the others', by name, as counted; a warning says which, and what to do.

    Args:
        splats: the reconstruction, with the object.
        photos: what it was made from.
        points: on the surfaces of the scene, in world units.
        rasterizer: any.
        stage: which the warning comes from.
    """
    views = sorted(photos.views, key=lambda view: _counted(view.name))
    fits = view_fits(splats, photos.of(views), points, rasterizer)
    names = contradicting(fits)
    if names:
        theirs = median(fits[name] for name in names)
        others = median(fit for name, fit in fits.items() if name not in names)
        listed = listed_views(names, [view.name for view in views])
        whose = "pose of 1 view contradicts" if len(names) == 1 else f"poses of {len(names)} views contradict"
        yield Noted(
            stage,
            f"the {whose} the others: {listed} (signal-to-noise ratio {theirs:.1f} dB, others {others:.1f} dB); nothing is"
            " removed, painted or seeded by them, but they have harmed the reconstruction: remove their images or repair their"
            " poses (structure from motion may have merged look-alike sides), then run again",
            "warning",
        )
    return names


def without_views(capture: Capture, names: Collection[str]) -> Capture:
    """The capture with fewer supervising views; held-out views stay, whatever their poses: they only judge."""
    if not names:
        return capture
    return replace(capture, views=tuple(view for view in capture.views if view.name not in names))


def write_contradicting(folder: Path, names: Sequence[str]) -> None:
    """Keeps the names of contradicting views in a folder.

    Raises:
        RunError: if it cannot be written.
    """
    write_whole(folder / FILE, json.dumps(list(names), indent=1) + "\n")


def read_contradicting(folder: Path) -> tuple[str, ...]:
    """What was kept there; nothing if nothing was.

    Raises:
        RunError: if it is damaged.
    """
    names = read_json(folder / FILE) if (folder / FILE).exists() else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise damaged(folder / FILE, "it is no list of names")
    return tuple(names)


def listed_views(names: Sequence[str], order: Sequence[str]) -> str:
    """Names for a sentence, three or more successive ones as a range: `0041-0047, 0052 and 12 more`.

    Args:
        names: what to list, in the order of the capture.
        order: all names in that order. A range holds names that follow each other here and differ only in their last number.
    """
    place = {name: index for index, name in enumerate(order)}
    runs = [[name] for name in names[:1]]
    for before, name in pairwise(names):
        if place[name] == place[before] + 1 and _series(name) is not None and _series(name) == _series(before):
            runs[-1].append(name)
        else:
            runs.append([name])
    items = [item for run in runs for item in ([[run[0], run[-1]]] if len(run) > 2 else [[name] for name in run])]
    counts = [count for run in runs for count in ([len(run)] if len(run) > 2 else [1] * len(run))]
    shown = ", ".join("-".join(item) for item in items[:MAX_LISTED])
    more = sum(counts[MAX_LISTED:])
    return f"{shown} and {more} more" if more else shown


def _counted(name: str) -> list[str | int]:
    """Sorts names by their numbers, 2 before 10, as photos were taken."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _series(name: str) -> str | None:
    """What is before the number that a name ends in; None if it ends in none."""
    match = re.fullmatch(r"(.*?)\d+", name)
    return match[1] if match else None
