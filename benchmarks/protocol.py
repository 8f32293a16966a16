"""What the removal benchmark asks of a method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.views import View
from splatpaint.stages.config import RunConfig


@dataclass(frozen=True, eq=False)
class Drawn:
    """A method's picture of a view."""

    color: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth; 0 where there is none to speak of."""


Draw = Callable[[View], Drawn]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a method made of a task."""

    draw: Draw
    seconds: float
    """All the work it took, parts that it shares with others too; of a stage that was interrupted, what it took in the end."""


class Method(Protocol):
    """Takes an object out of a capture."""

    def fit(self, task: Path, work: Path, config: RunConfig, judged: Sequence[View], /) -> Fitted:
        """Works in `work`, continuing there after an interruption.

        Args:
            task: a capture with masks.
            work: the task's folder, shared by all methods of one seed.
            config: what every method reconstructs with.
            judged: the views that will be drawn; what draws slowly need not draw others.
        """
        ...
