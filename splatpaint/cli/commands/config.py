"""`splatpaint config`."""

from pathlib import Path

import click

from splatpaint.cli.options import with_config


@click.command()
@with_config
def config(file: Path | None, overrides: tuple[str, ...]) -> None:
    """Print every setting of a run, defaults included, as YAML."""
    from splatpaint.config import dump, load
    from splatpaint.stages.config import RunConfig

    click.echo(dump(load(RunConfig, file, overrides)), nl=False)
