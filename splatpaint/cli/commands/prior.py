"""`splatpaint prior`."""

from pathlib import Path

import click

from splatpaint.cli.interruption import resumable
from splatpaint.cli.options import PATH, configurable
from splatpaint.errors import RunError


@click.group()
def prior() -> None:
    """Generative priors: the models that paint what was hidden."""


@prior.command()
@click.argument("photos", type=PATH)
@click.option("-o", "--output", "out", type=PATH, required=True, metavar="FOLDER", help="Folder of the prior; made if need be.")
@configurable
@click.option("--resume", is_flag=True, help="Continue an interrupted training.")
def train(photos: Path, out: Path, file: Path | None, overrides: tuple[str, ...], resume: bool) -> None:
    """Train a small inpainting prior from scratch on a folder of PHOTOS."""
    with resumable() as ctrl_c:
        from splatpaint.cli.progress import draw
        from splatpaint.config import load
        from splatpaint.priors.pretrain import SETTINGS_FILE, PriorTraining, train_prior

        if (out / SETTINGS_FILE).exists() and not resume:
            raise RunError(f"{out} holds a training that was begun: add --resume to continue it, or choose another folder")
        draw(ctrl_c.heeded(train_prior(load(PriorTraining, file, overrides), photos, out)))
    click.echo(f"done; next: splatpaint fit CAPTURE -o RUN --prior {out}")
