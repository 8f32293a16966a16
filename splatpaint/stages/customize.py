"""The prior learns the scene before it paints in it."""

from pathlib import Path

from splatpaint.events import Events, Noted
from splatpaint.image.region import dilate
from splatpaint.priors import customize as training
from splatpaint.priors.customization_data import KnownPicture
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.views import spread

STAGE = training.STAGE
MARGIN = 0.01
"""Masks are grown by this share of the picture's longer side: an object's edge and shadow reach over them."""


def customize(
    photos: Photos,
    prior: LatentInpaintingPrior,
    config: training.CustomizeConfig,
    *,
    seed: int,
    out: Path,
) -> Events[Path]:
    """Trains a LoRA on what the photos show outside the masks; see `splatpaint.priors.customize`.

    Raises:
        PriorError: if training diverges.
    """
    pictures = [known_picture(photo) for photo in photos.of(spread(photos.views, config.pictures))]
    if len(pictures) < len(photos):
        yield Noted(STAGE, f"{len(pictures)} of {len(photos)} photos are used")
    return (yield from training.customize(prior, pictures, config, seed=seed, out=out))


def known_picture(photo: Photo) -> KnownPicture:
    """A photo, its object left out with a margin."""
    masked = dilate(photo.fill, MARGIN * max(photo.image.shape[2:]))
    return KnownPicture(photo.image, photo.usable * (1 - masked), masked)
