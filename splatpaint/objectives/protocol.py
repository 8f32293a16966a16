"""What an objective is given and what it gives back."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.render.protocol import Rendered
from splatpaint.scene.splats import Splats

Property = Literal["color", "opacity", "geometry"]
"""Of a splat. Geometry is its place, rotation and size."""
EVERYTHING: tuple[Property, ...] = ("color", "opacity", "geometry")


@dataclass(frozen=True)
class Reach:
    """What an objective may change about the trained splats. The gradient of anything else is exactly zero."""

    fill: tuple[Property, ...] = EVERYTHING
    """Of the splats that are trained without ever having been seen; in a reconstruction all are."""
    boundary: tuple[Property, ...] = EVERYTHING
    """Of the reconstructed splats that are trained with the fill."""

    def __post_init__(self) -> None:
        for name in ("fill", "boundary"):  # what means the same shall be equal
            object.__setattr__(self, name, tuple(part for part in EVERYTHING if part in getattr(self, name)))


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
    number: int
    """Of this step in its round, from 1."""
    progress: float
    """Share of the training that is done, in [0, 1]."""
    generator: torch.Generator
    """For whatever is drawn at random: the same numbers at the same step, also of a resumed training. On the CPU."""
    guide: Float[Tensor, "v 1 h w"] | None = None
    """Disparity up to scale and shift that a network sees in `target`."""


@runtime_checkable
class Objective(Protocol):
    """A term, or a few, of what is minimized."""

    @property
    def reach(self) -> Reach:
        """What its gradient is let through to."""
        ...

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """Named, weighted scalars. Their sum is minimized."""
        ...
