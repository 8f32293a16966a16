"""Interface of the methods of the removal benchmark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.views import View
from splatpaint.stages.config import RunConfig


@dataclass(frozen=True, eq=False)
class Drawn:
    """A view drawn by a method."""

    color: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth; 0 where the method has none."""


Draw = Callable[[View], Drawn]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of a method on a task."""

    draw: Draw
    seconds: float
    """Total time, including stages shared with other methods; of an interrupted stage, only the time after its resumption."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores that only this method has, as the size of its holes."""


class Method(Protocol):
    """A method that removes an object from a capture."""

    def fit(self, task: Path, work: Path, config: RunConfig, scored_views: Sequence[View], /) -> Fitted:
        """Runs in the folder `work`, and resumes there after an interruption.

        Args:
            task: a capture with masks.
            work: folder of the task and seed, shared by all methods.
            config: the config of all methods.
            scored_views: the views that will be drawn; a slow method may ignore others.
        """
        ...
