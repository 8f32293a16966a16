"""What another picture shows in a hole, set in without a seam."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.priors.protocol import Reference


def cloned(images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], reference: Reference) -> Float[Tensor, "v 3 h w"]:
    """The pictures, their holes as the reference shows them, in colors that meet the known pixels.

    The difference of what both know is continued over the hole by a membrane (Perez et al. 2003, Poisson Image Editing, eq. 4),
    which takes off what differs in exposure; where the reference says nothing, the result is the membrane over all the rest.
    Known pixels come back bit-identical.
    """
    told = []
    for image, hole, shown, unknown in zip(images, holes > 0.5, reference.images, reference.unknown > 0.5, strict=True):
        apart = hole | unknown
        shift = torch.zeros_like(image) if bool(apart.all()) else harmonic_fill((image - shown)[None], apart[None].to(image))[0]
        begun = torch.where(hole, (shown + shift).clamp(0, 1), image)
        missing = hole & unknown
        told.append(begun if bool(missing.all()) else harmonic_fill(begun[None], missing[None].to(image))[0])
    return torch.stack(told)
