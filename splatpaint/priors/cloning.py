"""Poisson cloning: copies the content of a hole from another picture without a visible seam."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.priors.conditioning import fill_holes, fill_panels
from splatpaint.priors.protocol import Reference


def poisson_clone(
    images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], reference: Reference
) -> Float[Tensor, "v 3 h w"]:
    """The pictures, their holes filled with the reference, corrected to be continuous at the boundary.

    The correction is the harmonic fill of the difference between picture and reference (Perez et al. 2003, Poisson Image
    Editing, eq. 5), which removes a difference in exposure. Hole pixels that the reference does not know get the harmonic fill
    of all the others. Known pixels are bit-identical.
    """
    holes, unknown = ((area > 0.5).to(images) for area in (holes, reference.unknown))
    correction = fill_panels(images - reference.images, torch.maximum(holes, unknown), torch.zeros_like(images[..., :1, :1]))
    cloned = torch.where(holes > 0, (reference.images + correction).clamp(0, 1), images)
    return fill_holes(cloned, holes * unknown, "harmonic")
