"""`splatpaint prior`."""

from pathlib import Path

import click

from splatpaint.cli.interruption import resumable
from splatpaint.cli.options import PATH, with_config
from splatpaint.errors import RunError


@click.group()
def prior() -> None:
    """Generative priors: the models that inpaint holes."""


@prior.command("train-codec")
@click.argument("photos", type=PATH)
@click.option("--teacher", type=PATH, required=True, metavar="FOLDER", help="Codec whose latent space it gets.")
@click.option(
    "-o", "--output", "out", type=PATH, required=True, metavar="FOLDER", help="Gets the codec as vae/; made if need be."
)
@with_config
@click.option("--resume", is_flag=True, help="Continue an interrupted training.")
def train_codec(photos: Path, teacher: Path, out: Path, file: Path | None, overrides: tuple[str, ...], resume: bool) -> None:
    """Train a small codec on a folder of PHOTOS, in the latent space of another.

    The teacher is an autoencoder in diffusers' layout, a model with one, or a folder with TAESD's two files.
    """
    with resumable() as interruption:
        from splatpaint.cli.progress import draw
        from splatpaint.config import load
        from splatpaint.priors import pretrain
        from splatpaint.priors.pretrain_codec import CodecTraining

        check_resume(out / pretrain.SETTINGS_FILE, resume)
        codec = draw(
            interruption.stop_on_signal(pretrain.train_codec(load(CodecTraining, file, overrides), teacher, photos, out))
        )
    click.echo(f"done; next: splatpaint prior train {photos} --codec {codec} -o PRIOR")


@prior.command()
@click.argument("photos", type=PATH)
@click.option("--codec", type=PATH, required=True, metavar="FOLDER", help="The vae folder that train-codec made, or another.")
@click.option("-o", "--output", "out", type=PATH, required=True, metavar="FOLDER", help="Folder of the prior; made if need be.")
@with_config
@click.option("--resume", is_flag=True, help="Continue an interrupted training.")
def train(photos: Path, codec: Path, out: Path, file: Path | None, overrides: tuple[str, ...], resume: bool) -> None:
    """Train a small inpainting prior from scratch on a folder of PHOTOS."""
    with resumable() as interruption:
        from splatpaint.cli.progress import draw
        from splatpaint.config import load
        from splatpaint.priors import pretrain
        from splatpaint.priors.pretrain_denoiser import DenoiserTraining

        check_resume(out / pretrain.SETTINGS_FILE, resume)
        draw(interruption.stop_on_signal(pretrain.train_prior(load(DenoiserTraining, file, overrides), codec, photos, out)))
    click.echo(f"done; next: splatpaint fit CAPTURE -o RUN --prior {out}")


def check_resume(settings: Path, resume: bool) -> None:
    """Refuses a folder with a training in it, unless it is to be resumed.

    Args:
        settings: the settings file of that training.
        resume: whether it is to be resumed.

    Raises:
        RunError: if there is a training and it is not to be resumed.
    """
    if settings.exists() and not resume:
        raise RunError(
            f"{settings.parent} holds a training that was begun: add --resume to continue it, or choose another folder"
        )
