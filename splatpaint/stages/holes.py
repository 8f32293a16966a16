"""Masks of every view in a run folder, as PNGs: where photos show the object, its holes, and what is undone of its shadow."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.image.files import read_image, read_mask, write_image, write_mask
from splatpaint.masks.removal import NO_SHADE, Hole
from splatpaint.scene.view_files import view_file
from splatpaint.scene.views import View
from splatpaint.stages.folder import damaged

OCCLUDED = "occluded"
KINDS = (OCCLUDED, "holes", "support_removed")
"""Folders of the masks, one PNG a view."""
SHADE = "shade"
"""Folder of what the shadow left of the photos, where it is undone: one PNG a view that shows the shadow."""


def write_occluded(folder: Path, occluded: Mapping[str, Bool[Tensor, "1 1 _ _"]]) -> None:
    """Writes where the photos show the object, by name of the view."""
    for name, mask in occluded.items():
        write_mask(view_file(folder / OCCLUDED, name), mask[0].float().cpu())


def read_occluded(folder: Path, views: Iterable[View], device: torch.device) -> dict[str, Bool[Tensor, "1 1 _ _"]]:
    """What `write_occluded` wrote of these views."""
    return {view.name: _read(folder, OCCLUDED, view, device) for view in views}


def write_holes(folder: Path, holes: Iterable[Hole]) -> None:
    """Writes everything but the kept splats."""
    for hole in holes:
        for kind, mask in zip(KINDS, (hole.occluded, hole.unobserved, hole.support_removed), strict=True):
            write_mask(view_file(folder / kind, hole.name), mask[0].float().cpu())
        if hole.shade is not None:
            write_image(view_file(folder / SHADE, hole.name), hole.shade[0].expand(3, -1, -1) / NO_SHADE)


def read_holes(folder: Path, views: Iterable[View], device: torch.device) -> tuple[Hole, ...]:
    """What `write_holes` wrote of these views."""
    holes = []
    for view in views:
        masks = (_read(folder, kind, view, device) for kind in KINDS)
        file = view_file(folder / SHADE, view.name)
        shade = read_image(file)[None, :1].mul(NO_SHADE).round().byte().to(device) if file.exists() else None
        holes.append(Hole(view.name, *masks, shade=shade))
    return tuple(holes)


def _read(folder: Path, kind: str, view: View, device: torch.device) -> Bool[Tensor, "1 1 h w"]:
    file = view_file(folder / kind, view.name)
    mask = read_mask(file)[None].bool().to(device)
    if mask.shape[2:] != (view.camera.height, view.camera.width):
        raise damaged(file, "it has another size than its view")
    return mask
