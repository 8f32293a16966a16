"""Ctrl-C ends a command at its next event at the latest, and says how to go on."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from splatpaint.events import Events, Product

INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended, as shells report it."""


class CtrlC:
    """Raises KeyboardInterrupt at once, and remembers it.

    Python drops an exception where none can leave: in a finalizer, in a C library that looks for an attribute. A Ctrl-C that
    falls on such a moment would be lost.
    """

    def __init__(self) -> None:
        self._heard = False

    def hear(self, _signum: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self._heard = True
        raise KeyboardInterrupt

    def heeded(self, events: Events[Product]) -> Events[Product]:
        """The same events and product; ends after the event during which Ctrl-C was heard.

        Raises:
            KeyboardInterrupt: if it was heard and dropped.
        """
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                return stop.value
            yield event
            if self._heard:
                raise KeyboardInterrupt


@contextmanager
def resumable() -> Iterator[CtrlC]:
    """Hears Ctrl-C, and says how to continue with `--resume`."""
    before, ctrl_c = signal.getsignal(signal.SIGINT), CtrlC()
    if before is not signal.SIG_IGN:  # as it is for a job that a shell started in the background
        signal.signal(signal.SIGINT, ctrl_c.hear)
    try:
        yield ctrl_c
    except KeyboardInterrupt:
        words = ["splatpaint", *sys.argv[1:]]
        again = shlex.join(words if "--resume" in words else [*words, "--resume"])
        click.echo(f"interrupted; continue with: {again}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, before)
