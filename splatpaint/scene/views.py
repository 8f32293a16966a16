"""A prepared capture: views with pinhole cameras, images of the camera's size and canonical masks, and sparse points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from splatpaint.scene.camera import Cameras
from splatpaint.scene.exposure import Exposure, nearby_exposure

Item = TypeVar("Item")


@dataclass(frozen=True)
class View:
    """One photo with its files on disk, undistorted and of the camera's size; masks are 8-bit gray, 255 = yes."""

    name: str
    """Unique in the capture: the image path relative to the image folder without its suffix, `/` kept."""
    camera: Cameras
    """A batch of one."""
    image: Path
    fill_mask: Path | None = None
    """255 where the object is removed and the hole filled."""
    ignore_mask: Path | None = None
    """255 where the photo is invalid (passers-by, empty borders of undistortion)."""
    exposure: Exposure = field(default_factory=Exposure)
    """Exposure of the photo relative to the scene, if it was estimated."""
    depth: Path | None = None
    """Measured z-depth in 16-bit millimeters of the input frame, if available."""


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Sparse colored points, in the capture's (normalized) world."""

    positions: Float[Tensor, "n 3"]
    colors: UInt8[Tensor, "n 3"]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Similarity:
    """`x_world = scale * x_input + shift`. It has no rotation, so spherical harmonics are unchanged."""

    scale: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def from_place(self, place: tuple[float, float, float]) -> "Similarity":
        """The same for coordinates relative to a place of the input frame. In double precision, so that nothing is lost where
        the place is near the origin of the world but far from that of the input frame."""
        x, y, z = (self.scale * at + shift for at, shift in zip(place, self.shift, strict=True))
        return Similarity(self.scale, (x, y, z))

    def apply(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Points of the input frame, transformed to the world."""
        return points * self.scale + torch.tensor(self.shift).to(points)

    def undo(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """World points, transformed to the input frame."""
        return (points - torch.tensor(self.shift).to(points)) / self.scale


@dataclass(frozen=True)
class Capture:
    """Training views, held-out views, sparse points, and the normalization of the world."""

    views: tuple[View, ...]
    """Training views."""
    held_out: tuple[View, ...]
    """Views for evaluation only."""
    points: PointCloud | None
    world_from_input: Similarity

    @property
    def all_views(self) -> tuple[View, ...]:
        """Training and held-out views, sorted by name."""
        return tuple(sorted((*self.views, *self.held_out), key=lambda view: view.name))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spaced from the first to the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(count - 1, 1))] for i in range(count)]


def with_exposures(capture: Capture, exposures: Mapping[str, Exposure]) -> Capture:
    """The capture, its views with the exposures of their names; a view without one gets that of its nearest neighbors."""
    if not exposures:
        return capture
    known = [view for view in capture.views if view.name in exposures]
    cameras, theirs = [view.camera for view in known], [exposures[view.name] for view in known]

    def with_exposure(view: View) -> View:
        return replace(view, exposure=exposures.get(view.name) or nearby_exposure(view.camera, cameras, theirs))

    return replace(
        capture, views=tuple(map(with_exposure, capture.views)), held_out=tuple(map(with_exposure, capture.held_out))
    )
