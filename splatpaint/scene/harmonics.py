"""Real spherical harmonics of degree 0 to 3, ordered and signed as in 3D Gaussian splatting (Condon-Shortley phase kept)."""

from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from splatpaint.scene.splats import Splats


def sh_basis(directions: Float[Tensor, "*batch 3"], degree: int) -> Float[Tensor, "*batch k"]:
    """The (degree + 1)^2 basis functions at unit directions, DC first, then by degree and order (m = -l to l).

    Raises:
        ValueError: if the degree is not 0, 1, 2 or 3.
    """
    if degree not in (0, 1, 2, 3):
        raise ValueError(f"spherical harmonics of degree {degree} are not supported, expected 0 to 3")
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    terms = [torch.full_like(x, sqrt(1 / (4 * pi)))]
    if degree >= 1:
        c = sqrt(3 / (4 * pi))
        terms += [-c * y, c * z, -c * x]
    if degree >= 2:
        c = sqrt(15 / (4 * pi))
        terms += [c * x * y, -c * y * z, sqrt(5 / (16 * pi)) * (2 * zz - xx - yy), -c * x * z, c / 2 * (xx - yy)]
    if degree >= 3:
        c0, c1, c2, c3 = (sqrt(a / (32 * pi)) for a in (14, 21, 210, 35))
        terms += [
            -c3 * y * (3 * xx - yy),
            2 * c2 * x * y * z,
            -c1 * y * (4 * zz - xx - yy),
            c0 * z * (2 * zz - 3 * xx - 3 * yy),
            -c1 * x * (4 * zz - xx - yy),
            c2 * z * (xx - yy),
            -c3 * x * (xx - 3 * yy),
        ]
    return torch.stack(terms, dim=-1)


def colors_seen_from(splats: Splats, centers: Float[Tensor, "v 3"]) -> Float[Tensor, "v n c"]:
    """The color of every splat seen from every camera center (world units), activated for the color space of the splats."""
    if splats.sh_degree == 0:
        summed = (splats.sh[:, 0] * sqrt(1 / (4 * pi))).expand(len(centers), -1, -1)
    else:
        directions = normalize(splats.means - centers[:, None], dim=-1)
        summed = torch.einsum("vnk,nkc->vnc", sh_basis(directions, splats.sh_degree), splats.sh)
    return (summed + 0.5).clamp_min(0.0) if splats.space == "rgb" else summed
