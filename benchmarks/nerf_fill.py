"""The compact NeRF with splatpaint's objectives and prior: only the scene representation differs.

The field is fitted to the photos beside the masks, and under them to what the prior paints, repainted from the current
rendering at the noise levels of splatpaint's own schedule. Holes are the masks themselves: taking an object out by votes and
looking past it from other views is something that splats allow and a field does not.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.nerf import Field, NerfConfig, Trainer, budget, draw_nerf, new_field, rays_of, render
from splatpaint.fill.config import FillConfig, strength_of_round
from splatpaint.image.region import Box
from splatpaint.objectives.build import build_objectives
from splatpaint.objectives.disparity import DisparityConfig
from splatpaint.objectives.photometric import PhotometricConfig
from splatpaint.objectives.protocol import Step
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rendered
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture

CROP_EVERY = 4
"""Every fourth step renders a crop, which structure and feature losses need; the others use random rays."""
CROP_PX = 56


def fill_nerf(
    capture: Capture, prior: Prior, config: FillConfig, nerf: NerfConfig, *, seed: int, device: torch.device
) -> Field:
    """A field with filled holes, fitted for the time given in `nerf` (inpainting included)."""
    photos = Photos(capture.views, device)
    field = new_field(capture, nerf, seed=seed, device=device)
    trainer = Trainer(field)
    others = [each for each in config.objectives if not isinstance(each, PhotometricConfig | DisparityConfig)]
    objectives = build_objectives([PhotometricConfig(), *others], prior=prior, device=device, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    holed = [index for index, photo in enumerate(photos) if photo.fill.any()]
    images: list[Tensor] = []
    begun = -1
    for step, spent in enumerate(budget(nerf)):
        number = min(int(spent * config.rounds), config.rounds - 1)
        if number > begun:
            begun = number
            images = [repainted(photo, field, prior, config, number, generator) for photo in photos]
            rays = rays_of([photo.camera for photo in photos], images, [photo.usable for photo in photos])
        loss = trainer.photometric(rays)
        if step % CROP_EVERY == 0 and holed:
            index = holed[int(torch.randint(len(holed), (1,), generator=generator))]
            given = crop_step(field, photos[index], images[index], generator)
            loss = loss + sum_of([objective(given) for objective in objectives])
        trainer.step(loss, spent)
    return field


@torch.no_grad()
def repainted(
    photo: Photo, field: Field, prior: Prior, config: FillConfig, number: int, generator: torch.Generator
) -> Float[Tensor, "1 3 h w"]:
    """The photo with its masked pixels inpainted: from noise in the first round, later from the rendering of the field."""
    if not photo.fill.any():
        return photo.image
    strength = strength_of_round(number, config)
    return paint(
        prior,
        PriorQuery(images=photo.image, holes=photo.fill),
        start=draw_nerf(field, photo.camera)[0] if strength < 1 else None,
        strength=strength,
        steps=max(1, round(config.denoise_steps * strength)),
        generator=generator,
    )


def crop_step(field: Field, photo: Photo, image: Float[Tensor, "1 3 h w"], generator: torch.Generator) -> Step:
    """A rendered crop around a random pixel of the hole."""
    rows, columns = torch.nonzero(photo.fill[0, 0], as_tuple=True)
    at = int(torch.randint(len(rows), (1,), generator=generator))
    height, width = photo.fill.shape[2:]
    left = min(max(int(columns[at]) - CROP_PX // 2, 0), max(width - CROP_PX, 0))
    top = min(max(int(rows[at]) - CROP_PX // 2, 0), max(height - CROP_PX, 0))
    box = Box(left, top, min(left + CROP_PX, width), min(top + CROP_PX, height))
    color, depth, alpha = render(field, photo.camera.cropped(box.left, box.top, box.width, box.height))
    none = color.new_zeros(1, 0, 2)
    rendered = Rendered(color, alpha, depth, none, none[..., 0].int())
    return Step(
        rendered,
        box.crop(image),
        box.crop(photo.usable),
        box.crop(photo.fill),
        no_splats(color),
        number=1,
        progress=1.0,
        generator=generator,
    )


def no_splats(like: Tensor) -> Splats:
    """Empty splats, for objectives that need them."""
    zeros = like.new_zeros
    return Splats(zeros(0, 3), zeros(0, 4), zeros(0, 3), zeros(0), zeros(0, 1, 3))


def sum_of(terms: Sequence[dict[str, Tensor]]) -> Tensor:
    return torch.stack([value for each in terms for value in each.values()]).sum()
