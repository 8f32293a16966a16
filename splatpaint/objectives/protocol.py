"""What an objective is given and what it gives back."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from splatpaint.render.protocol import Rendered
from splatpaint.scene.splats import Splats


@dataclass(frozen=True, eq=False)
class Step:
    """One rendering of a training step and what is known about it."""

    rendered: Rendered
    target: Float[Tensor, "v 3 h w"]
    """What the rendering shall look like where `weight` is positive."""
    weight: Float[Tensor, "v 1 h w"]
    """How much each pixel of `target` counts, in [0, 1]."""
    holes: Float[Tensor, "v 1 h w"]
    """In [0, 1]: 1 = painted by the prior, 0 = seen by a camera."""
    splats: Splats
    """The trainable splats of this step."""


@runtime_checkable
class Objective(Protocol):
    """A term, or a few, of what is minimized."""

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """Named, weighted scalars. Their sum is minimized."""
        ...
