"""Handling of SIGINT (Ctrl-C) and SIGTERM: stops a command at its next event and prints how to resume it."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from splatpaint.events import Events, Product

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a process that Ctrl-C ended, as shells report it."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A signal handler that raises KeyboardInterrupt and records the signal. At a second signal the process ends at once.

    Python discards exceptions that are raised in a finalizer or in some C callbacks, and libraries that are interrupted while
    they are imported may raise another. The recorded signal is then raised at the next event, and what was raised is no error.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The number of the received signal."""

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        if self.signum is not None:
            os._exit(128 + signum)  # a run can be killed at any moment
        self.signum = signum
        raise KeyboardInterrupt

    def stop_on_signal(self, events: "Events[Product]") -> "Events[Product]":
        """The same events and product, stopped after the event during which a signal was received.

        Raises:
            KeyboardInterrupt: if a signal was received but its exception was discarded.
        """
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                return stop.value
            yield event
            if self.signum is not None:
                raise KeyboardInterrupt


@contextmanager
def interruptible(say: str = "interrupted") -> Iterator[Interruption]:
    """Handles the signals within the block: it ends with a line and the exit code of its signal, and no other trace.

    Args:
        say: the line.
    """
    before, interruption = {number: signal.getsignal(number) for number in SIGNALS}, Interruption()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # shells ignore Ctrl-C for background jobs
            signal.signal(number, interruption.handle)
    try:
        yield interruption
    except KeyboardInterrupt:
        _end(interruption, say)
    except Exception:
        if interruption.signum is None:
            raise
        _end(interruption, say)
    else:
        if interruption.signum is not None:
            _end(interruption, say)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def resumable() -> Iterator[Interruption]:
    """As `interruptible`; the line is the command that continues with `--resume`."""
    words = ["splatpaint", *sys.argv[1:]]
    again = shlex.join(words if "--resume" in words else [*words, "--resume"])
    with interruptible(f"interrupted; continue with: {again}") as interruption:
        yield interruption


def _end(interruption: Interruption, say: str) -> NoReturn:
    click.echo(say, err=True)
    sys.exit(INTERRUPTED if interruption.signum is None else 128 + interruption.signum)
