"""Prepared captures on disk, one folder each, named by a key of their input files and settings."""

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

VERSION = 2
"""To be raised when preparation changes, so that folders of earlier versions are not used."""
USED = "used"
"""File with the name of the folder that was used last."""
DESCRIPTION = "capture.json"
"""Written last: a folder without it is incomplete."""


def cache_key(files: Iterable[Path], settings: str) -> str:
    """12 hexadecimal digits by path, size and time of change of the files, and by the settings.

    Paths count, unlike in `RunFolder`'s fingerprint of contents, since a prepared capture refers to its files by their paths.
    """
    digest = hashlib.sha256(f"{VERSION} {settings}".encode())
    for file in sorted(set(files)):
        status = file.stat()
        digest.update(f"\n{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def is_complete(folder: Path) -> bool:
    """Whether a capture was completely saved in the folder."""
    return (folder / DESCRIPTION).is_file()


def save(folder: Path, capture: Capture) -> None:
    """Writes points and then the description, atomically; the views' files exist already.

    Raises:
        OSError: if they cannot be written.
    """
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
    """The capture in the cache that was used last.

    Raises:
        CaptureError: if there is none.
    """
    used = cache / USED
    folder = cache / used.read_text().strip() if used.is_file() else None
    if folder is None or not is_complete(folder):
        raise CaptureError(f"{cache} holds no prepared capture: run `splatpaint fit` again, with --resume")
    return load(folder)


def mark_used(folder: Path) -> None:
    """Records this folder of the cache as the one that was used last."""
    write_text(folder.parent / USED, f"{folder.name}\n")


def load(folder: Path) -> Capture:
    """Reads the capture in the folder."""
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
    # A path joined with an absolute path is the latter.
    files = {role: folder / described[role] for role in ("image", "fill_mask", "ignore_mask", "depth") if role in described}
    return View(name=described["name"], camera=camera, **files)


def _relative(file: Path, folder: Path) -> str:
    """The path relative to the folder if it is inside, so that a run folder can be moved; else the absolute path."""
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file.resolve())
