"""What another picture shows in a hole, set in without a seam."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.priors.conditioning import fill_holes, membranes
from splatpaint.priors.protocol import Reference


def poisson_clone(
    images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], reference: Reference
) -> Float[Tensor, "v 3 h w"]:
    """The pictures, their holes as the reference shows them, in colors that meet the known pixels.

    The difference of what both know is continued over the hole by a membrane (Perez et al. 2003, Poisson Image Editing, eq. 5),
    which takes off what differs in exposure; where the reference says nothing, the result is the membrane over all the rest.
    Known pixels come back bit-identical.
    """
    holes, unknown = ((area > 0.5).to(images) for area in (holes, reference.unknown))
    shift = membranes(images - reference.images, torch.maximum(holes, unknown), torch.zeros_like(images[..., :1, :1]))
    told = torch.where(holes > 0, (reference.images + shift).clamp(0, 1), images)
    return fill_holes(told, holes * unknown, "harmonic")
