"""What an objective is given and what it gives back."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.render.protocol import Rendered
from splatpaint.scene.splats import Splats

Property = Literal["color", "opacity", "geometry"]
"""Properties of a splat. Geometry is its center, rotation and scale."""
EVERYTHING: tuple[Property, ...] = ("color", "opacity", "geometry")


@dataclass(frozen=True)
class TrainableProperties:
    """The properties of trained splats that an objective may change; the gradient of all others is exactly zero."""

    fill: tuple[Property, ...] = EVERYTHING
    """Of fill splats, which no photo shows; in a reconstruction all splats are of this group."""
    boundary: tuple[Property, ...] = EVERYTHING
    """Of boundary splats: reconstructed ones that are trained with the fill."""


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
    disparity_hint: Float[Tensor, "v 1 h w"] | None = None
    """Disparity up to scale and shift that a network estimates from `target`."""


@runtime_checkable
class Objective(Protocol):
    """A term, or a few, of what is minimized."""

    @property
    def trains(self) -> TrainableProperties:
        """The properties that its gradient reaches."""
        ...

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """Named, weighted scalars. Their sum is minimized."""
        ...
