"""The exposures of the photos between the stages: kept beside the reconstruction, given to the views."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from splatpaint.reading import UnreadableError, understanding
from splatpaint.scene.exposure import Exposure
from splatpaint.stages.folder import damaged, read_json, write_whole

FILE = "exposures.json"


def write_exposures(folder: Path, exposures: Mapping[str, Exposure]) -> None:
    """Keeps exposures, by name of the view, in a folder.

    Raises:
        RunError: if it cannot be written.
    """
    described = {name: asdict(exposure) for name, exposure in exposures.items()}
    write_whole(folder / FILE, json.dumps(described, indent=1) + "\n")


def read_exposures(folder: Path) -> dict[str, Exposure]:
    """What was kept there; nothing if the photos were taken to be exposed alike.

    Raises:
        RunError: if it is damaged.
    """
    if not (folder / FILE).exists():
        return {}
    kept = read_json(folder / FILE)
    try:
        with understanding():
            return {name: _exposure(each["gain"], each["offset"], each.get("local", ())) for name, each in kept.items()}
    except UnreadableError as error:
        raise damaged(folder / FILE, str(error)) from error


def _exposure(gain: list[float], offset: list[float], local: list[list[list[float]]]) -> Exposure:
    (red, green, blue), (more_red, more_green, more_blue) = gain, offset
    values = red, green, blue, more_red, more_green, more_blue
    if not all(math.isfinite(value) for value in values) or min(gain) <= 0:
        raise UnreadableError(f"gains {gain} and offsets {offset} are those of no photo")
    grid = tuple(tuple(tuple(map(float, row)) for row in channel) for channel in local)
    if grid:
        rows, columns = len(grid[0]), len(grid[0][0])
        gains = [value for channel in grid for row in channel for value in row]
        even = len(gains) == 3 * rows * columns and {len(row) for channel in grid for row in channel} == {columns}
        if not even or {len(channel) for channel in grid} != {rows} or not 0 < min(gains) <= max(gains) < math.inf:
            raise UnreadableError("its local tone is no grid of positive gains for three channels")
    return Exposure((red, green, blue), (more_red, more_green, more_blue), grid)
