"""The stage that customizes the prior to the scene, before it inpaints there."""

from pathlib import Path

from splatpaint.events import Events, Noted
from splatpaint.image.region import dilate
from splatpaint.priors import customize as training
from splatpaint.priors.customization_data import MaskedPhoto
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.views import spread

STAGE = training.STAGE
MARGIN = 0.01
"""Masks are dilated by this share of the photo's longer side, since edge and shadow of an object extend beyond them."""


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
        PriorError: if the training diverges.
        WeightsError: if weights of LPIPS are needed and not on this machine.
    """
    pictures = [masked_photo(photo) for photo in photos.of(spread(photos.views, config.pictures))]
    if len(pictures) < len(photos):
        yield Noted(STAGE, f"{len(pictures)} of {len(photos)} photos are used")
    return (yield from training.customize(prior, pictures, config, seed=seed, out=out))


def masked_photo(photo: Photo) -> MaskedPhoto:
    """The photo with its object mask, dilated by a margin, and the known pixels outside it."""
    object_mask = dilate(photo.fill, MARGIN * max(photo.image.shape[2:]))
    return MaskedPhoto(photo.image, photo.usable * (1 - object_mask), object_mask)
