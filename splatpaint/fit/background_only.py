"""The scene is told apart from an object while both are fitted.

What was fitted together with an object keeps its traces when it is taken away: its colors in splats that reach under it, and
veils before a camera that made up for what others got wrong. So the last part of a fit looks, every other step, at the scene
without the object, where the photo does not show the object.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from splatpaint.scene.splats import Splats


class BackgroundOnlySteps:
    """Which splats are the object, told once, and which steps look at the scene without them."""

    def __init__(self, tell: Callable[[Splats], Bool[Tensor, " n"]], begin: int) -> None:
        """
        Args:
            tell: which splats are the object.
            begin: so many steps look at everything. From then on the splats must stay as many.
        """
        self.begin = begin
        self._tell = tell
        self._object: Bool[Tensor, " n"] | None = None

    def alone(self, step: int) -> bool:
        """Whether a step, counted from 1, looks at the scene without the object."""
        return step > self.begin and (step - self.begin) % 2 == 1

    def object(self, splats: Splats) -> Bool[Tensor, " n"]:
        """Which splats are the object; the first ones that are asked about decide."""
        if self._object is None:
            self._object = self._tell(splats)
        return self._object

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue exactly here."""
        return {"object": self._object}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._object = state["object"]
