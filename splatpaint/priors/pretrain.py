"""From a folder of photographs to a prior: a codec distilled from a teacher's, then a denoiser over it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch

from splatpaint.errors import PriorError
from splatpaint.events import Events, Noted, Saved
from splatpaint.priors.load import HABITS_FILE
from splatpaint.priors.networks import diffusers
from splatpaint.priors.photos import PhotoSet, read_photos
from splatpaint.priors.pretrain_codec import CodecTraining, distill_codec
from splatpaint.priors.pretrain_denoiser import DenoiserTraining, habits_of, train_denoiser
from splatpaint.priors.teacher import read_codec

STAGE = "train prior"
SETTINGS_FILE = "training.json"
WORK_FOLDER = "work"
"""Holds checkpoints and full-precision weights; only needed to continue."""


def train_codec(config: CodecTraining, teacher: Path, photos: Path, out: Path) -> Events[Path]:
    """A codec in the teacher's latent space, `out/vae`; continues where it was stopped.

    Raises:
        PriorError: if the teacher or the photos cannot be used, `out` was begun with other settings, or training diverges.
    """
    read = read_codec(teacher, torch.device("cpu"))
    pictures = yield from _pictures(photos)
    return (yield from distill_codec(config, read, pictures, _begun(config, out), out / "vae"))


def train_prior(config: DenoiserTraining, codec: Path, photos: Path, out: Path) -> Events[Path]:
    """A folder that `load_prior` reads, in half precision, with the settings that made it; continues where it was stopped.

    Args:
        config: see there.
        codec: a codec's folder, as `read_codec` takes it; a copy of it becomes part of the prior. A training may be continued
            with another codec of the same latent space.
        photos: a folder of pictures.
        out: the prior's folder.

    Raises:
        PriorError: as `train_codec`.
    """
    read = read_codec(codec, torch.device("cpu"))
    pictures = yield from _pictures(photos)
    work = _begun(config, out)
    yield from train_denoiser(config, read, pictures, work)
    read.vae.half().save_pretrained(out / "vae")
    diffusers().UNet2DConditionModel.from_pretrained(work / "unet", torch_dtype=torch.float16).save_pretrained(out / "unet")
    diffusers().DDIMScheduler.from_pretrained(work / "scheduler").save_pretrained(out / "scheduler")
    for part in ("vae", "unet"):
        _forget_where_it_lay(out / part / "config.json")
    (out / HABITS_FILE).write_text(json.dumps(asdict(habits_of(config)), indent=2) + "\n")
    yield Saved(STAGE, "prior", out)
    return out


def _forget_where_it_lay(file: Path) -> None:
    """diffusers writes down the folder that a model was read from; nobody who gets the prior has that folder."""
    config = json.loads(file.read_text())
    config.pop("_name_or_path", None)
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _pictures(folder: Path) -> Events[PhotoSet]:
    pictures = read_photos(folder)
    yield Noted(STAGE, f"{len(pictures.train)} pictures to train on, {len(pictures.test)} held out")
    return pictures


def _begun(config: CodecTraining | DenoiserTraining, out: Path) -> Path:
    """The folder of what is only needed to continue; `out` is new, or was begun with the same settings."""
    work, file = out / WORK_FOLDER, out / SETTINGS_FILE
    work.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(asdict(config)))
    if not file.exists():
        file.write_text(json.dumps(settings, indent=2) + "\n")
        return work
    changed = sorted(_differences(settings, json.loads(file.read_text())))
    if changed:
        raise PriorError(f"{out} was begun with other settings ({', '.join(changed)}): choose another folder, or these")
    return work


def _differences(new: dict, old: dict) -> Iterable[str]:
    return (key for key in new.keys() | old.keys() if new.get(key) != old.get(key))
