"""A fill between two of its parts: one frozen value that is saved and loaded whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from splatpaint.fill.crops import Target, TrainingCrop
from splatpaint.fill.views import ObservedView
from splatpaint.fill.ways import Way
from splatpaint.fit.checkpoint import load_checkpoint, restoring, save_checkpoint
from splatpaint.fit.parameters import BOUNDARY, FILL
from splatpaint.fit.tree import from_tree, to_tree
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate


@dataclass(frozen=True, eq=False)
class FillState:
    """All that the rest of a fill depends on, beside photos of no more use, the tools and the settings."""

    views: tuple[ObservedView, ...]
    """Every view without the object of which something is known."""
    frozen: Splats
    """Kept splats that do not change, bit for bit."""
    boundary: Splats
    """Kept splats that are trained with the fill, as they were kept."""
    trained: Splats
    """Boundary and fill splats as they are now."""
    group: UInt8[Tensor, " n"]
    """BOUNDARY or FILL, one label a trained splat."""
    seeds: int
    """Number of fill splats before the training."""
    center: Float[Tensor, " 3"]
    """Median of their centers, in the world."""
    photo_cameras: tuple[Cameras, ...]
    """Cameras of all supervising photos."""
    crops: tuple[TrainingCrop, ...]
    """The parts of the views that are trained."""
    finish: Way | None
    """How the last round paints; None: by the prior, as the rounds before."""
    round: int = 0
    """Number of rounds that are done."""
    targets: tuple[Target, ...] = ()
    """What the crops shall look like in the round that comes next; empty until it is painted."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """`optimizers` and `objectives`: what they carry from round to round; empty before the first."""

    @property
    def is_fill(self) -> Tensor:
        """Trained splats of the group FILL, (n,) bool."""
        return self.group == FILL

    @property
    def kept(self) -> Splats:
        """The kept splats, as they were."""
        return concatenate([self.frozen, self.boundary])

    @property
    def scene(self) -> Splats:
        """All splats as they are now."""
        return concatenate([self.frozen, self.trained])


def initial_state(
    views: Sequence[ObservedView],
    frozen: Splats,
    boundary: Splats,
    seeds: Splats,
    crops: Sequence[TrainingCrop],
    photo_cameras: Sequence[Cameras],
    finish: Way | None,
) -> FillState:
    """The state before the first round."""
    group = torch.cat([torch.full((len(boundary),), BOUNDARY), torch.full((len(seeds),), FILL)]).to(seeds.means.device)
    return FillState(
        views=tuple(views),
        frozen=frozen,
        boundary=boundary,
        trained=concatenate([boundary, seeds]),
        group=group.byte(),
        seeds=len(seeds),
        center=seeds.means.median(dim=0).values,
        photo_cameras=tuple(photo_cameras),
        crops=tuple(crops),
        finish=finish,
    )


def save_state(path: Path, state: FillState) -> None:
    """Writes the state, whole or not at all, with the state of torch's random generator."""
    save_checkpoint(path, to_tree(state))


def load_state(path: Path, device: torch.device) -> FillState | None:
    """The state that `save_state` wrote; None if there is no such file.

    Raises:
        RunError: if the file is damaged, or of another version.
    """
    tree = load_checkpoint(path, device)
    with restoring(path):
        return None if tree is None else from_tree(FillState, tree)
