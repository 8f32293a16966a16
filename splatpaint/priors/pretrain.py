"""From a folder of photographs to a prior: codec, denoiser, and the folder that `load_prior` reads."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from splatpaint.errors import PriorError
from splatpaint.events import Events, Noted, Saved
from splatpaint.priors.latent import Habits
from splatpaint.priors.load import HABITS_FILE
from splatpaint.priors.networks import diffusers
from splatpaint.priors.photos import read_photos
from splatpaint.priors.pretrain_codec import CodecTraining, train_codec
from splatpaint.priors.pretrain_denoiser import DenoiserTraining, train_denoiser

STAGE = "train prior"
SETTINGS_FILE = "training.json"
WORK_FOLDER = "work"
"""Holds checkpoints, cached latents and full-precision weights; only needed to continue."""


@dataclass(frozen=True)
class PriorTraining:
    """How a prior is trained from scratch."""

    codec: CodecTraining = field(default_factory=CodecTraining)
    denoiser: DenoiserTraining = field(default_factory=DenoiserTraining)


def train_prior(config: PriorTraining, photos: Path, out: Path) -> Events[Path]:
    """A folder that `load_prior` reads, in half precision, with the settings that made it; continues where it was stopped.

    Raises:
        PriorError: if the photos cannot be used, `out` was begun with other settings, or training diverges.
    """
    work = out / WORK_FOLDER
    work.mkdir(parents=True, exist_ok=True)
    _refuse_other_settings(config, out / SETTINGS_FILE)
    pictures = read_photos(photos)
    yield Noted(STAGE, f"{len(pictures.train)} pictures to train on, {len(pictures.test)} held out")
    if not (work / "vae").is_dir():
        yield from train_codec(config.codec, pictures, work)
    yield from train_denoiser(config.denoiser, pictures, work)
    export_prior(work, out, Habits(fill="harmonic", residual=True, native_px=config.denoiser.crop_px))
    yield Saved(STAGE, "prior", out)
    return out


def export_prior(work: Path, out: Path, habits: Habits) -> None:
    """Writes the trained parts in half precision, in diffusers' layout, with what the layout has no field for."""
    kinds = {"vae": diffusers().AutoencoderTiny, "unet": diffusers().UNet2DConditionModel}
    for part, kind in kinds.items():
        kind.from_pretrained(work / part, torch_dtype=torch.float16).save_pretrained(out / part)
    diffusers().DDIMScheduler.from_pretrained(work / "scheduler").save_pretrained(out / "scheduler")
    (out / HABITS_FILE).write_text(json.dumps(asdict(habits), indent=2) + "\n")


def _refuse_other_settings(config: PriorTraining, path: Path) -> None:
    settings = json.loads(json.dumps(asdict(config)))
    if not path.exists():
        path.write_text(json.dumps(settings, indent=2) + "\n")
        return
    changed = sorted(_differences(settings, json.loads(path.read_text())))
    if changed:
        raise PriorError(f"{path.parent} was begun with other settings ({', '.join(changed)}): choose another folder, or these")


def _differences(new: dict, old: dict, prefix: str = "") -> Iterable[str]:
    for key, value in new.items():
        if isinstance(value, dict):
            yield from _differences(value, old.get(key, {}), f"{prefix}{key}.")
        elif value != old.get(key):
            yield f"{prefix}{key}"
