"""What the steps of an optimization look at."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats


@dataclass(frozen=True, eq=False)
class Example:
    """What one training step looks at."""

    cameras: Cameras
    target: Float[Tensor, "v 3 h w"]
    weight: Float[Tensor, "v 1 h w"]
    holes: Float[Tensor, "v 1 h w"]
    behind: Splats | None = None
    """Frozen splats that are drawn together with the trained ones."""
    guide: Float[Tensor, "v 1 h w"] | None = None
    """See `Step`."""
    photo: int | None = None
    """Its number, if it is the photo as it was taken."""
    hidden: Bool[Tensor, " n"] | None = None
    """Trained splats that are not drawn. How many there are must not change any more."""
    background: Float[Tensor, " 3"] | None = None
    """What shows through the splats; black if none is given."""


def view_of_step(step: int, views: int, seed: int) -> int:
    """Which view a step (from 1) looks at: every epoch is a new permutation that depends on nothing but seed and epoch."""
    epoch, place = divmod(step - 1, views)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return int(torch.randperm(views, generator=generator)[place])
