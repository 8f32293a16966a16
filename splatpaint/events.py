"""What a stage says while it works.

A stage is a generator: it yields these events and returns its product, so `product = yield from stage(...)` composes. Nothing
below the command line prints; the command line draws the events, the run folder logs them, a test ignores them.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from splatpaint.scene.splats import Splats

Product = TypeVar("Product")


@dataclass(frozen=True)
class Progressed:
    """`done` of `total` units of work are finished."""

    stage: str
    done: int
    total: int
    values: Mapping[str, float | int] = field(default_factory=dict)
    """The latest named numbers: losses, counts."""
    part: str = ""
    """The part of the stage that the work belongs to; empty if it has no parts."""
    round: int = 0
    """Number of the round, from 1; 0 if the stage has no rounds."""
    rounds: int = 0
    """Number of rounds in all."""


@dataclass(frozen=True)
class SceneChanged:
    """The scene is another after a training step; comes many times a second, and costs nothing if nobody looks."""

    stage: str
    splats: Callable[[], Splats]
    """The whole scene as it is now. To be called before the stage goes on: afterwards it gives a later scene."""


@dataclass(frozen=True)
class Noted:
    """Something a person should read. Warnings say what was odd in the input and what was done about it."""

    stage: str
    message: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Measured:
    """Numbers worth keeping: they land in metrics.json under the stage's name."""

    stage: str
    values: Mapping[str, float | int]


@dataclass(frozen=True)
class Saved:
    """A file or folder that a person may want to open now exists."""

    stage: str
    what: str
    path: Path


@dataclass(frozen=True)
class Skipped:
    """The stage's product was already there and was taken as it is."""

    stage: str
    path: Path


Event = Progressed | SceneChanged | Noted | Measured | Saved | Skipped
Events = Generator[Event, None, Product]
"""What a stage function returns: `def reconstruct(...) -> Events[Reconstruction]`."""


def drain(events: Events[Product]) -> Product:
    """The product of a stage whose events nobody wants to see."""
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value
