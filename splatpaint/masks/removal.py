"""What a removal leaves: the kept splats, and the holes of every view."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, View


@dataclass(frozen=True, eq=False)
class Hole:
    """One supervising view after the removal."""

    name: str
    covered: Float[Tensor, "1 1 h w"]
    """1 where a mask, or the object, was: the photo says nothing about what is there now."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where no other view saw past the object either."""
    torn: Float[Tensor, "1 1 h w"]
    """1 where the removal took splats although it is known what is there, from this photo or another: no mask is so exact that
    it tears none."""


@dataclass(frozen=True, eq=False)
class Removal:
    """The scene without the object."""

    kept: Splats
    """A subset of the reconstruction, bit for bit."""
    holes: tuple[Hole, ...]
    """One for every supervising view, in order."""


def untouched(splats: Splats, capture: Capture) -> Removal:
    """Nothing removed, no hole anywhere."""

    def nothing(view: View) -> Float[Tensor, "1 1 h w"]:
        return splats.means.new_zeros(1, 1, view.camera.height, view.camera.width)

    return Removal(splats, tuple(Hole(view.name, nothing(view), nothing(view), nothing(view)) for view in capture.views))
