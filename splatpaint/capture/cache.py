"""Prepared captures on disk, told apart by a fingerprint of what they were made from."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes

from splatpaint.atomic import write_text
from splatpaint.errors import CaptureError
from splatpaint.scene.camera import Cameras
from splatpaint.scene.views import Capture, PointCloud, Similarity, View

VERSION = 1
"""Raised when the same inputs are to be prepared differently, so that old folders are not taken for new ones."""
USED = "used"
"""Names the folder that was used last."""
DESCRIPTION = "capture.json"
"""Written last: a folder without it was interrupted."""


def fingerprint(files: Iterable[Path], settings: str) -> str:
    """A short name that changes when any of the files is replaced or edited, or the settings differ."""
    digest = hashlib.sha256(f"{VERSION} {settings}".encode())
    for file in sorted(set(files)):
        status = file.stat()
        digest.update(f"\n{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def is_complete(folder: Path) -> bool:
    """Whether a capture was saved here to its end."""
    return (folder / DESCRIPTION).is_file()


def save(folder: Path, capture: Capture) -> None:
    """Writes points and description; the view's files are there already. The description comes last, in one piece."""
    if capture.points is not None:
        points = {"positions": capture.points.positions, "colors": capture.points.colors}
        (folder / "points.safetensors").write_bytes(as_bytes(points))
    described = {
        "views": [_described(view, folder) for view in capture.views],
        "held_out": [_described(view, folder) for view in capture.held_out],
        "has_points": capture.points is not None,
        "world_from_input": {"scale": capture.world_from_input.scale, "shift": list(capture.world_from_input.shift)},
    }
    write_text(folder / DESCRIPTION, json.dumps(described, indent=1))


def last_prepared(cache: Path) -> Capture:
    """The capture that was used last of those in the cache.

    Raises:
        CaptureError: if there is none.
    """
    used = cache / USED
    folder = cache / used.read_text().strip() if used.is_file() else None
    if folder is None or not is_complete(folder):
        raise CaptureError(f"{cache} holds no prepared capture: run `splatpaint fit` again, with --resume")
    return load(folder)


def mark_used(folder: Path) -> None:
    """From now on the capture that was saved in this folder of the cache is the one that was used last."""
    write_text(folder.parent / USED, f"{folder.name}\n")


def load(folder: Path) -> Capture:
    """The capture that was saved in the folder."""
    described = json.loads((folder / DESCRIPTION).read_text())
    similarity = described["world_from_input"]
    x, y, z = similarity["shift"]
    return Capture(
        views=tuple(_view(view, folder) for view in described["views"]),
        held_out=tuple(_view(view, folder) for view in described["held_out"]),
        points=PointCloud(**load_file(folder / "points.safetensors")) if described["has_points"] else None,
        world_from_input=Similarity(similarity["scale"], (x, y, z)),
    )


def _described(view: View, folder: Path) -> dict[str, Any]:
    files = {"image": view.image, "fill_mask": view.fill_mask, "ignore_mask": view.ignore_mask, "depth": view.depth}
    return {
        "name": view.name,
        "width": view.camera.width,
        "height": view.camera.height,
        "K": view.camera.K[0].tolist(),
        "cam_from_world": view.camera.cam_from_world[0].tolist(),
        **{role: _relative(file, folder) for role, file in files.items() if file},
    }


def _view(described: dict[str, Any], folder: Path) -> View:
    camera = Cameras(
        torch.tensor(described["K"])[None],
        torch.tensor(described["cam_from_world"])[None],
        described["width"],
        described["height"],
    )
    # joining with an absolute path gives that path
    files = {role: folder / described[role] for role in ("image", "fill_mask", "ignore_mask", "depth") if role in described}
    return View(name=described["name"], camera=camera, **files)


def _relative(file: Path, folder: Path) -> str:
    """Files of the folder itself by their place in it, so that a run folder can be moved; others by their absolute path."""
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file.resolve())
