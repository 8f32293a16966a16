"""The photos of a capture in memory, with 8 bits per channel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.files import read_image, read_mask
from splatpaint.scene.camera import Cameras
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.views import View

Files = tuple[Path, Path | None, Path | None]
"""A view's image, fill mask and ignore mask."""
Decoded = tuple[Tensor, Tensor, Tensor]
"""Their pixels, eight bits a channel: image, usable, fill."""


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
    """Decodes every view's files once, when it is first asked for, and keeps them as bytes, five a pixel."""

    def __init__(self, views: Sequence[View], device: torch.device, _decoded: dict[Files, Decoded] | None = None) -> None:
        self.views = tuple(views)
        self.device = device
        self._decoded: dict[Files, Decoded] = {} if _decoded is None else _decoded

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Photo:  # pyright: ignore[reportIncompatibleMethodOverride]
        view = self.views[index]
        files = (view.image, view.fill_mask, view.ignore_mask)
        if files not in self._decoded:
            self._decoded[files] = _read(view)
        image, usable, fill = (part.to(self.device).float() for part in self._decoded[files])
        image = view.exposure.undo(image.div_(255)).clamp_(0, 1)
        return Photo(view.name, view.camera.to(self.device), image, usable, fill)

    def of(self, views: Sequence[View]) -> "Photos":
        """Other views, such as the same with other exposures; files that were decoded already are not decoded again."""
        return Photos(views, self.device, self._decoded)

    def as_taken(self) -> "Photos":
        """The same photos without exposures: their pixels are those of the files."""
        return self.of([replace(view, exposure=Exposure()) for view in self.views])


def _read(view: View) -> Decoded:
    image = (read_image(view.image)[None] * 255).round().byte()
    empty = torch.zeros_like(image[:, :1])
    usable = 1 - read_mask(view.ignore_mask)[None].byte() if view.ignore_mask else empty + 1
    fill = read_mask(view.fill_mask)[None].byte() if view.fill_mask else empty
    return image, usable, fill
