"""Trains a prior on a folder of photos: a codec distilled from a teacher, then a denoiser of its latents."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from splatpaint.atomic import write_text
from splatpaint.errors import PriorError
from splatpaint.events import Events, Noted, Saved
from splatpaint.priors.load import TRAITS_FILE
from splatpaint.priors.networks import diffusers, from_folder, read_settings
from splatpaint.priors.photos import PhotoSet, read_photos
from splatpaint.priors.pretrain_codec import CodecTraining, distill_codec
from splatpaint.priors.pretrain_denoiser import DenoiserTraining, prior_traits, train_denoiser
from splatpaint.priors.teacher import read_codec

STAGE = "train prior"
SETTINGS_FILE = "training.json"
WORK_FOLDER = "work"
"""Folder of checkpoints and full-precision weights, needed only to resume the training."""


def train_codec(config: CodecTraining, teacher: Path, photos: Path, out: Path) -> Events[Path]:
    """Trains a codec in the teacher's latent space, `out/vae`; resumes from the last checkpoint.

    Raises:
        PriorError: if the teacher or the photos cannot be used, `out` holds a training with other settings, or the training
            diverges.
    """
    teacher_codec = read_codec(teacher, torch.device("cpu"))
    pictures = yield from _read_photos(photos)
    return (yield from distill_codec(config, teacher_codec, pictures, _work_folder(config, out), out / "vae"))


def train_prior(config: DenoiserTraining, codec: Path, photos: Path, out: Path) -> Events[Path]:
    """Trains a denoiser and writes a folder that `load_prior` reads, in half precision; resumes from the last checkpoint.

    Args:
        config: settings of the training, written to the folder.
        codec: a codec's folder, as `read_codec` takes it; a copy becomes part of the prior. A training may be resumed with
            another codec of the same latent space.
        photos: a folder of pictures.
        out: folder of the prior.

    Raises:
        PriorError: as `train_codec`.
    """
    own_codec = read_codec(codec, torch.device("cpu"))
    pictures = yield from _read_photos(photos)
    work = _work_folder(config, out)
    yield from train_denoiser(config, own_codec, pictures, work)
    own_codec.vae.half().save_pretrained(out / "vae")
    unet = from_folder(diffusers().UNet2DConditionModel, work / "unet", torch_dtype=torch.float16)
    unet.save_pretrained(out / "unet")
    from_folder(diffusers().DDIMScheduler, work / "scheduler").save_pretrained(out / "scheduler")
    for part in ("vae", "unet"):
        _remove_source_path(out / part / "config.json")
    write_text(out / TRAITS_FILE, json.dumps(asdict(prior_traits(config)), indent=2) + "\n")
    yield Saved(STAGE, "prior", out)
    return out


def _remove_source_path(file: Path) -> None:
    """Removes the folder that the model was read from, which diffusers writes to the config."""
    config = read_settings(file)
    config.pop("_name_or_path", None)
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _read_photos(folder: Path) -> Events[PhotoSet]:
    pictures = read_photos(folder)
    yield Noted(STAGE, f"{len(pictures.train)} pictures to train on, {len(pictures.test)} held out")
    return pictures


def _work_folder(config: CodecTraining | DenoiserTraining, out: Path) -> Path:
    """The work folder in `out`, made if need be.

    Raises:
        PriorError: if `out` holds a training with other settings.
    """
    work, file = out / WORK_FOLDER, out / SETTINGS_FILE
    work.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(asdict(config)))
    if not file.exists():
        write_text(file, json.dumps(settings, indent=2) + "\n")
        return work
    before = read_settings(file)
    changed = sorted(key for key in settings.keys() | before.keys() if settings.get(key) != before.get(key))
    if changed:
        raise PriorError(f"{out} was begun with other settings ({', '.join(changed)}): choose another folder, or these")
    return work
