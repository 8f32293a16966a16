"""The `splatpaint` command, also as `python -m splatpaint`: it ends quietly on Ctrl-C from its first line on."""

import io
import os
import signal
import sys
from types import FrameType


def quit_at_once(signum: int, _frame: FrameType | None) -> None:
    """A signal handler for while there is nothing to be kept, as during imports, whose errors a library may swallow."""
    os.write(2, b"interrupted\n")
    os._exit(128 + signum)


def main() -> None:
    """Runs the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # shells ignore Ctrl-C for background jobs
        signal.signal(signal.SIGINT, quit_at_once)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be anything
        sys.stdout.reconfigure(errors="backslashreplace")
    from splatpaint.cli.app import main as command

    command()


if __name__ == "__main__":
    main()
