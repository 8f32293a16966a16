"""The photos of a capture in memory, with 8 bits per channel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.files import read_image, read_mask
from splatpaint.scene.camera import Cameras
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.views import View


@dataclass(frozen=True, eq=False)
class Photo:
    """Image and masks of one view."""

    name: str
    camera: Cameras
    image: Float[Tensor, "1 3 h w"]
    """sRGB in [0, 1], with the exposure of the scene."""
    usable: Float[Tensor, "1 1 h w"]
    """1 where the photo is valid, 0 where it is ignored."""
    fill: Float[Tensor, "1 1 h w"]
    """1 where the object is removed and the hole filled."""


class Photos(Sequence[Photo]):
    """A sequence of photos. Each view is read at its first access and kept as bytes."""

    def __init__(self, views: Sequence[View], device: torch.device) -> None:
        self.views = tuple(views)
        self.device = device
        self._bytes: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Photo:  # pyright: ignore[reportIncompatibleMethodOverride]
        view = self.views[index]
        if index not in self._bytes:
            self._bytes[index] = self._read(view)
        image, usable, fill = (part.to(self.device).float() for part in self._bytes[index])
        image = view.exposure.undo(image / 255).clamp(0, 1)
        return Photo(view.name, view.camera.to(self.device), image, usable, fill)

    def as_taken(self) -> "Photos":
        """The same photos without exposure correction: the pixels of the files."""
        return Photos([replace(view, exposure=Exposure()) for view in self.views], self.device)

    @staticmethod
    def _read(view: View) -> tuple[Tensor, Tensor, Tensor]:
        image = (read_image(view.image)[None] * 255).round().byte()
        empty = torch.zeros_like(image[:, :1])
        usable = 1 - read_mask(view.ignore_mask)[None].byte() if view.ignore_mask else empty + 1
        fill = read_mask(view.fill_mask)[None].byte() if view.fill_mask else empty
        return image, usable, fill
