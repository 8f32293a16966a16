"""The shadow of a cylinder on the plane that it stands on, in closed form."""

import math

import torch
from torch import Tensor

from splatpaint.image.contact_shadow import GAMMA


def blocked_by_cylinder(
    u: Tensor, v: Tensor, *, radius: float, height: float, directions: int, penumbra: float = 0.02
) -> Tensor:
    """Share of the light from each direction that a cylinder around the origin keeps off, (k, *shape of u and v).

    The directions are spread over the hemisphere with the cosine's weight, down to an elevation of 32 degrees.
    """
    number = torch.arange(directions)
    angle, sine = number * math.pi * (3 - math.sqrt(5)), 0.85 * ((number + 0.5) / directions).sqrt()
    reach = height * sine / (1 - sine.square()).sqrt()
    blocked = []
    for x, y, length in zip(reach * angle.cos(), reach * angle.sin(), reach, strict=True):
        along = ((x * u + y * v) / length**2).clamp(0, 1)
        away = torch.hypot(u - along * x, v - along * y) - radius
        blocked.append((0.5 - away / penumbra).clamp(0, 1))
    return torch.stack(blocked)


def cylinder_shade(u: Tensor, v: Tensor, *, radius: float, height: float, lamp: float = 0.5) -> Tensor:
    """What is left of sRGB values around the cylinder, under a bright sky and a wide lamp that is at its highest.

    Args:
        u: coordinate on the plane, of the same shape as v.
        v: the other coordinate.
        radius: of the cylinder.
        height: of the cylinder.
        lamp: share of the lamp in the light.
    """
    blocked = blocked_by_cylinder(u, v, radius=radius, height=height, directions=101)
    light = torch.full((101,), (1 - lamp) / 101)
    light[[34, 42, 47, 55, 63, 68]] += lamp / 6
    return (1 - torch.tensordot(light, blocked, dims=1)).clamp_min(0.01) ** (1 / GAMMA)
