"""The `splatpaint` command: its subcommands and error messages.

Command modules import torch and other heavy packages inside their functions, so that `--help` responds at once.
"""

import errno

import click

from splatpaint import __version__
from splatpaint.cli.commands.config import config
from splatpaint.cli.commands.convert import convert
from splatpaint.cli.commands.doctor import doctor
from splatpaint.cli.commands.evaluate import evaluate
from splatpaint.cli.commands.export import export
from splatpaint.cli.commands.fit import fit
from splatpaint.cli.commands.info import info
from splatpaint.cli.commands.prior import prior
from splatpaint.cli.commands.render import render
from splatpaint.cli.interruption import interruptible
from splatpaint.errors import SplatpaintError

LONGEST_SENTENCE = 1000
"""Characters of an error message, whatever the names in it."""


class UserError(click.ClickException):
    """An error reported as one sentence on stderr, with exit code 2."""

    exit_code = 2


class CommandGroup(click.Group):
    """A command group that reports errors of the user as `UserError`; other exceptions show their traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the chosen command."""
        with interruptible():
            try:
                return super().invoke(ctx)
            except SplatpaintError as error:
                raise UserError(sentence(str(error))) from error
            except OSError as error:  # a full disk, a missing folder, a name that is too long, a loop of links
                if error.errno in (None, errno.EPIPE):  # click ends quietly if nobody reads what it prints
                    raise
                name = "a file" if error.filename is None else str(error.filename)
                raise UserError(sentence(f"{name} cannot be read or written: {error.strerror}")) from error


def sentence(text: str) -> str:
    """The text in one line, not endless, and with bytes of file names that are no UTF-8 as escapes."""
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= LONGEST_SENTENCE else f"{line[:LONGEST_SENTENCE]}..."


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Remove objects from 3D Gaussian splat scenes: photos and masks in, splats without the object out."""


for _command in (fit, export, convert, render, evaluate, info, doctor, config, prior):
    main.add_command(_command)
