"""What a view shows once the object is gone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.camera import Cameras


@dataclass(frozen=True, eq=False)
class ObservedView:
    """One view without the object."""

    camera: Cameras
    image: Float[Tensor, "1 3 h w"]
    """The photo, or the kept splats where the object hid them; meaningless inside the hole."""
    seen: Float[Tensor, "1 1 h w"]
    """1 = it is the photo's; 0 where the photo shows the object or nothing usable."""
    hole: Float[Tensor, "1 1 h w"]
    """1 = nobody saw it."""
    torn: Float[Tensor, "1 1 h w"]
    """1 = the image shows it, but its splats went with the object."""
    depth: Float[Tensor, "1 1 h w"]
    """z-depth of the kept splats."""
    alpha: Float[Tensor, "1 1 h w"]
    """Their accumulated opacity."""

    @property
    def blind(self) -> Float[Tensor, "1 1 h w"]:
        """1 = the image says nothing: nobody saw what is there, or others did, but its splats went with the object."""
        return torch.maximum(self.hole, self.torn * (1 - self.seen))

    @property
    def open(self) -> Float[Tensor, "1 1 h w"]:
        """1 = the fill belongs here."""
        return torch.maximum(self.hole, self.torn)
