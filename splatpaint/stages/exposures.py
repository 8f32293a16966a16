"""The exposures of the photos between the stages: kept beside the reconstruction, given to the views."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from splatpaint.scene.exposure import Exposure, nearby_exposure
from splatpaint.scene.views import Capture, View
from splatpaint.stages.folder import write_whole

FILE = "exposures.json"


def write_exposures(folder: Path, exposures: Mapping[str, Exposure]) -> None:
    """Keeps exposures, by name of the view, in a folder.

    Raises:
        RunError: if it cannot be written.
    """
    described = {name: asdict(exposure) for name, exposure in exposures.items()}
    write_whole(folder / FILE, json.dumps(described, indent=1) + "\n")


def read_exposures(folder: Path) -> dict[str, Exposure]:
    """What was kept there; nothing if the photos were taken to be exposed alike."""
    if not (folder / FILE).exists():
        return {}
    kept = json.loads((folder / FILE).read_text())
    return {name: Exposure(tuple(each["gain"]), tuple(each["offset"])) for name, each in kept.items()}


def with_exposures(capture: Capture, exposures: Mapping[str, Exposure]) -> Capture:
    """The capture, its views with their exposures; one without is taken to have that of its neighbors."""
    if not exposures:
        return capture
    known = [view for view in capture.views if view.name in exposures]
    cameras, theirs = [view.camera for view in known], [exposures[view.name] for view in known]

    def with_exposure(view: View) -> View:
        return replace(view, exposure=exposures.get(view.name) or nearby_exposure(view.camera, cameras, theirs))

    return replace(
        capture, views=tuple(map(with_exposure, capture.views)), held_out=tuple(map(with_exposure, capture.held_out))
    )
