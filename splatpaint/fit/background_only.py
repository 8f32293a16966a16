"""Training steps that render the scene without an object, so that removing it later leaves no artifacts.

Splats that are fitted together with an object carry traces of it: its colors, where they reach under it, and floaters before a
camera that compensate errors of others. So in the last part of a reconstruction every other step renders the scene without the
object's splats, and compares it with the photo where that does not show the object.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from splatpaint.scene.splats import Splats


class BackgroundOnlySteps:
    """Which splats are the object, selected once, and which steps render the scene without them."""

    def __init__(self, select: Callable[[Splats], Bool[Tensor, " n"]], begin: int) -> None:
        """
        Args:
            select: the object's splats.
            begin: number of steps that render everything. From then on the number of splats must stay.
        """
        self.begin = begin
        self._select = select
        self._object: Bool[Tensor, " n"] | None = None

    def includes(self, step: int) -> bool:
        """Whether a step, counted from 1, renders the scene without the object."""
        return step > self.begin and (step - self.begin) % 2 == 1

    def object(self, splats: Splats) -> Bool[Tensor, " n"]:
        """The object's splats, as selected at the first call."""
        if self._object is None:
            self._object = self._select(splats)
        return self._object

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue exactly here."""
        return {"object": self._object}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._object = state["object"]
