"""The `splatpaint` command: its subcommands and error messages.

Command modules import torch and other heavy packages inside their functions, so that `--help` responds at once.
"""

import errno

import click

from splatpaint import __version__
from splatpaint.cli.commands.config import config
from splatpaint.cli.commands.doctor import doctor
from splatpaint.cli.commands.evaluate import evaluate
from splatpaint.cli.commands.export import export
from splatpaint.cli.commands.fit import fit
from splatpaint.cli.commands.info import info
from splatpaint.cli.commands.prior import prior
from splatpaint.cli.commands.render import render
from splatpaint.cli.interruption import INTERRUPTED
from splatpaint.errors import SplatpaintError

FILE_SYSTEM_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
"""File system errors that are reported in one sentence: disk full, read-only, permission denied."""


class UserError(click.ClickException):
    """An error reported as one sentence on stderr, with exit code 2."""

    exit_code = 2


class CommandGroup(click.Group):
    """A command group that reports errors of the user as `UserError`; other exceptions show their traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except SplatpaintError as error:
            raise UserError(" ".join(str(error).split())) from error
        except OSError as error:
            if error.errno not in FILE_SYSTEM_ERRORS:
                raise
            raise UserError(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}") from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Remove objects from 3D Gaussian splat scenes: photos and masks in, splats without the object out."""


for _command in (fit, export, render, evaluate, info, doctor, config, prior):
    main.add_command(_command)
