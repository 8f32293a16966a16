"""A fill between two of its parts: one frozen value that is saved and loaded whole."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from splatpaint.fill.crops import Target, TrainingCrop
from splatpaint.fill.views import ObservedView
from splatpaint.fit.checkpoint import load_checkpoint, save_checkpoint
from splatpaint.fit.parameters import BOUNDARY, FILL
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
    crops: tuple[TrainingCrop, ...]
    """The parts of the views that are trained."""
    round: int = 0
    """Number of rounds that are done."""
    targets: tuple[Target, ...] = ()
    """What the crops shall look like in the round that comes next; empty until it is painted."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What optimizer and objectives carry from round to round; empty before the first."""

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


def planned(views: list[ObservedView], frozen: Splats, boundary: Splats, seeds: Splats, crops: list[TrainingCrop]) -> FillState:
    """The state before the first round."""
    group = torch.cat([torch.full((len(boundary),), BOUNDARY), torch.full((len(seeds),), FILL)]).to(seeds.means.device)
    return FillState(tuple(views), frozen, boundary, concatenate([boundary, seeds]), group.byte(), len(seeds), tuple(crops))


def save_state(path: Path, state: FillState) -> None:
    """Writes the state, whole or not at all, with the state of torch's random generator."""
    save_checkpoint(path, _to_tree(state))


def load_state(path: Path, device: torch.device) -> FillState | None:
    """The state that `save_state` wrote; None if there is no such file.

    Raises:
        RunError: if the file is damaged.
    """
    tree = load_checkpoint(path, device)
    return None if tree is None else _from_tree(FillState, tree)


def _to_tree(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists, all the way down; tensors and plain values as they are."""
    match value:
        case _ if dataclasses.is_dataclass(value):
            return {each.name: _to_tree(getattr(value, each.name)) for each in dataclasses.fields(value)}
        case dict():
            return {name: _to_tree(item) for name, item in value.items()}
        case tuple() | list():
            return [_to_tree(item) for item in value]
        case _:
            return value


def _from_tree(hint: Any, tree: Any) -> Any:
    """The value of that type whose `_to_tree` the tree is."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{name: _from_tree(hints[name], item) for name, item in tree.items()})
    if origin is tuple and isinstance(tree, list):
        return tuple(_from_tree(choices[0], item) for item in tree)
    if origin in (typing.Union, types.UnionType):
        return None if tree is None else _from_tree(next(choice for choice in choices if choice is not type(None)), tree)
    return tree
