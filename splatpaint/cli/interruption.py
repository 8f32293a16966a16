"""Handling of SIGINT (Ctrl-C) and SIGTERM: stops a command at its next event and prints how to resume it."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from splatpaint.events import Events, Product

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a process that Ctrl-C ended, as shells report it."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A signal handler that raises KeyboardInterrupt and records the signal.

    Python discards exceptions that are raised in a finalizer or in some C callbacks. The recorded signal is then raised at the
    next event.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The number of the received signal."""

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """The signal handler."""
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
def resumable() -> Iterator[Interruption]:
    """Handles the signals within the block, and prints the command that continues with `--resume`."""
    before, interruption = {number: signal.getsignal(number) for number in SIGNALS}, Interruption()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # shells ignore Ctrl-C for background jobs
            signal.signal(number, interruption.handle)
    try:
        yield interruption
    except KeyboardInterrupt:
        words = ["splatpaint", *sys.argv[1:]]
        again = shlex.join(words if "--resume" in words else [*words, "--resume"])
        click.echo(f"interrupted; continue with: {again}", err=True)
        sys.exit(128 + (interruption.signum or signal.SIGINT))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
