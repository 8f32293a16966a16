"""Events that a stage yields while it works.

A stage is a generator: it yields events and returns its product, so stages compose by `product = yield from stage(...)`. Only
the command line prints. It displays the events, the run folder logs them, and tests ignore them.
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
    """A message for the user. A warning states a problem of the input and how it was handled."""

    stage: str
    message: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Measured:
    """Measured values; they are stored in metrics.json under the name of the stage."""

    stage: str
    values: Mapping[str, float | int]


@dataclass(frozen=True)
class Saved:
    """A file or folder for the user was written."""

    stage: str
    what: str
    path: Path


@dataclass(frozen=True)
class Skipped:
    """The product of the stage existed and was reused."""

    stage: str
    path: Path


Event = Progressed | SceneChanged | Noted | Measured | Saved | Skipped
Events = Generator[Event, None, Product]
"""Return type of a stage function: `def reconstruct(...) -> Events[Reconstruction]`."""


def drain(events: Events[Product], show: Callable[[Event], object] | None = None) -> Product:
    """Runs a stage to its end and returns its product.

    Args:
        events: the stage.
        show: called with every event, such as `print`; None: events are ignored.
    """
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            return stop.value
        if show is not None:
            show(event)
