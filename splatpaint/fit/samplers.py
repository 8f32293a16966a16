"""What the steps of an optimization render, and what they compare it with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.resample import resize_area
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats
from splatpaint.streams import generator


@dataclass(frozen=True, eq=False)
class Example:
    """One training step: cameras, and what their renderings shall look like."""

    cameras: Cameras
    target: Float[Tensor, "v 3 h w"]
    """sRGB in [0, 1]."""
    weight: Float[Tensor, "v 1 h w"]
    """How much each pixel of the target counts, in [0, 1]."""
    holes: Float[Tensor, "v 1 h w"]
    """1 = painted by the prior, 0 = seen by a camera."""
    frozen: Splats | None = None
    """Splats that are rendered together with the trained ones."""
    disparity_hint: Float[Tensor, "v 1 h w"] | None = None
    """Disparity up to scale and shift that a network estimates from the target."""
    photo: int | None = None
    """Number of the photo that the target is, exposed as it was taken; None for other targets."""
    background: Float[Tensor, " 3"] | None = None
    """Color behind the splats; None = black."""


@runtime_checkable
class Sampler(Protocol):
    """Chooses what a training step renders.

    In a training with a checkpoint it must depend on nothing but the step, its seed and the present splats, so that a resumed
    training sees the same. One that keeps samples of its own is for trainings that are resumed from their beginning.
    """

    def __call__(self, step: int) -> Example | None:
        """The example of a step, counted from 1; None: the next sampler is asked."""
        ...


def first_example(samplers: Sequence[Sampler], step: int) -> Example:
    """The example of the first sampler that has one.

    Raises:
        ValueError: if none has.
    """
    for sampler in samplers:
        example = sampler(step)
        if example is not None:
            return example
    raise ValueError(f"no sampler has an example for step {step}")


def halved(example: Example) -> Example:
    """The example at half its width and height. A pixel counts where all that it was made of do.

    Raises:
        ValueError: if it has a disparity hint, which nothing needs at half its size.
    """
    if example.disparity_hint is not None:
        raise ValueError("an example with a disparity hint is not halved")
    width, height = example.cameras.width // 2, example.cameras.height // 2
    target, weight, holes = (
        resize_area(part, width=width, height=height) for part in (example.target, example.weight, example.holes)
    )
    wholly = (weight > 1 - 1e-4).float()
    return replace(
        example, cameras=example.cameras.resized(width, height), target=target, weight=wholly, holes=(holes > 0.5).float()
    )


def view_of_step(step: int, views: int, seed: int) -> int:
    """The view that a step, counted from 1, looks at: each epoch is a new permutation, determined by seed and epoch."""
    epoch, place = divmod(step - 1, views)
    return int(torch.randperm(views, generator=generator(seed, epoch=epoch))[place])
