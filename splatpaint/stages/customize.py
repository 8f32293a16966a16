"""The prior learns the scene before it paints in it."""

from pathlib import Path

import torch

from splatpaint.events import Events, Noted
from splatpaint.image.region import dilate
from splatpaint.priors import customize as training
from splatpaint.priors.customization_data import KnownPicture
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.views import Capture, spread

STAGE = training.STAGE
MARGIN = 0.01
"""Masks are grown by this share of the picture's longer side: an object's edge and shadow reach over them."""


def customize(
    capture: Capture,
    prior: LatentInpaintingPrior,
    config: training.CustomizeConfig,
    *,
    device: torch.device,
    seed: int,
    out: Path,
) -> Events[Path]:
    """Trains a LoRA on what the capture's photos show outside the masks; see `splatpaint.priors.customize`.

    Raises:
        PriorError: if training diverges.
    """
    pictures = [known_picture(photo) for photo in Photos(spread(capture.views, config.pictures), device)]
    if len(pictures) < len(capture.views):
        yield Noted(STAGE, f"{len(pictures)} of {len(capture.views)} photos are used")
    return (yield from training.customize(prior, pictures, config, seed=seed, out=out))


def known_picture(photo: Photo) -> KnownPicture:
    """A photo, its object left out with a margin."""
    masked = dilate(photo.fill, MARGIN * max(photo.image.shape[2:]))
    return KnownPicture(photo.image, photo.usable * (1 - masked), masked)
