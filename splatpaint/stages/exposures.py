"""The exposures of the photos between the stages: kept beside the reconstruction, given to the views."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from splatpaint.scene.exposure import Exposure
from splatpaint.stages.folder import read_json, write_whole

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
    return {name: _exposure(each) for name, each in kept.items()}


def _exposure(kept: dict[str, Any]) -> Exposure:
    local = tuple(tuple(map(tuple, rows)) for rows in kept.get("local", ()))
    return Exposure(tuple(kept["gain"]), tuple(kept["offset"]), local)
