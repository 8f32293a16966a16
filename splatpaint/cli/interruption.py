"""Ctrl-C, or a termination such as a cluster asks for, ends a command at its next event, and says how to go on."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from splatpaint.events import Events, Product

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a process that Ctrl-C ended, as shells report it."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Raises KeyboardInterrupt at once, and remembers it.

    Python drops an exception where none can leave: in a finalizer, in a C library that looks for an attribute. A signal that
    falls on such a moment would be lost.
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        """The signal."""

    def hear(self, signum: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.heard = signum
        raise KeyboardInterrupt

    def stop_on_signal(self, events: Events[Product]) -> Events[Product]:
        """The same events and product; ends after the event during which a signal was heard.

        Raises:
            KeyboardInterrupt: if it was heard and dropped.
        """
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                return stop.value
            yield event
            if self.heard is not None:
                raise KeyboardInterrupt


@contextmanager
def resumable() -> Iterator[Interruption]:
    """Hears the signals, and says how to continue with `--resume`."""
    before, interruption = {number: signal.getsignal(number) for number in SIGNALS}, Interruption()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as Ctrl-C is for a job that a shell started in the background
            signal.signal(number, interruption.hear)
    try:
        yield interruption
    except KeyboardInterrupt:
        words = ["splatpaint", *sys.argv[1:]]
        again = shlex.join(words if "--resume" in words else [*words, "--resume"])
        click.echo(f"interrupted; continue with: {again}", err=True)
        sys.exit(128 + (interruption.heard or signal.SIGINT))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
