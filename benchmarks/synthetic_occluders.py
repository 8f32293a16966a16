"""Virtual things to put into photos: a ball, a disc, a box and a scribble, traced and textured in closed form.

A thing lies on a plane. Thick ones (ball, box) hide much of which other views see some; flat ones (disc, scribble) hide a piece
of the surface that they lie on from everybody, so that all of it must be invented.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.textures import Noise

Shape = Literal["ball", "disc", "box", "scribble"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

SUNK = 0.04
"""How deep a thing sits in the fitted plane, as a share of its radius: surfaces are rough, and a gap would show."""
FLAT = 0.02
"""How high flat things lie above the plane, as a share of their radius."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a thing goes."""

    foot: Float[Tensor, "3"]
    """On the surface, in the capture's world."""
    up: Float[Tensor, "3"]
    """The surface's normal."""
    radius: float
    """The thing fits into a ball of this radius that rests there."""

    @property
    def center(self) -> Float[Tensor, "3"]:
        """Of that ball."""
        return self.foot + (1 - SUNK) * self.radius * self.up

    @property
    def axes(self) -> Float[Tensor, "3 3"]:
        """Rows: two directions along the surface, and up."""
        side = normalize(torch.linalg.cross(self.up, torch.tensor([0.31, 0.83, -0.46])), dim=0)
        return torch.stack([side, torch.linalg.cross(self.up, side), self.up])


class Thing(Protocol):
    """What can be drawn into a photo."""

    @property
    def place(self) -> Place:
        """Where it lies."""
        ...

    def meet(self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """Which unit rays from the eye hit it, and the colors (sRGB) that they find; zero where they miss."""
        ...

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """Points all over it, their normals and colors, for the sparse cloud that structure from motion would find."""
        ...


def thing_at(place: Place, shape: Shape) -> Thing:
    """A thing of the given shape."""
    match shape:
        case "ball":
            return Ball(place)
        case "box":
            return Box(place)
        case "disc":
            return Flat(place, _in_disc)
        case "scribble":
            return Flat(place, _in_scribble)


@dataclass(frozen=True, eq=False)
class Ball:
    """A beach ball."""

    place: Place

    def meet(self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """See `Thing`."""
        offset, radius = eye - self.place.center, self.place.radius
        b = rays @ offset
        inside = b * b - offset @ offset + radius**2
        met = (inside > 0) & (b < 0)
        normal = (offset + (-b - inside.clamp(min=0).sqrt())[..., None] * rays) / radius
        color = torch.zeros_like(rays)
        color[met] = self._paint(normal[met])
        return met, color

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """See `Thing`."""
        normals = normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)
        return self.place.center + self.place.radius * normals, normals, self._paint(normals)

    def _paint(self, normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Sectors in three colors with woven grain, lit from above."""
        side, across, up = self.place.axes
        tilted = normalize(up + 0.6 * side, dim=0)
        front = torch.linalg.cross(tilted, normalize(across + 0.3 * up, dim=0))
        height = normals @ tilted
        angle = torch.atan2(normals @ torch.linalg.cross(tilted, front), normals @ front)
        sector = ((angle / (2 * math.pi) + 0.5) * 6).floor() % 3
        palette = torch.tensor([[0.80, 0.16, 0.13], [0.93, 0.90, 0.82], [0.12, 0.34, 0.66]])
        color = torch.where((height.abs() > 0.9)[:, None], torch.tensor([0.95, 0.72, 0.15]), palette[sector.long()])
        grain = 0.85 + 0.3 * Noise(7).octaves(angle * 8 + 30, height * 20 + 30, 3)
        return (color * grain[:, None] * lit(normals, self.place)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Box:
    """A cardboard box with tape and print."""

    place: Place

    @property
    def half(self) -> Float[Tensor, "3"]:
        """Half its edges, along the place's axes."""
        return self.place.radius * torch.tensor([0.72, 0.52, 0.44])

    @property
    def middle(self) -> Float[Tensor, "3"]:
        """Its center."""
        return self.place.foot + (self.half[2] - SUNK * self.place.radius) * self.place.up

    def meet(self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """See `Thing`; the slab method."""
        axes = self.place.axes
        start, along = (eye - self.middle) @ axes.T, rays @ axes.T
        safe = torch.where(along.abs() > 1e-9, along, torch.full_like(along, 1e-9))
        one, other = (-self.half - start) / safe, (self.half - start) / safe
        near, face = torch.minimum(one, other).max(dim=-1)
        far = torch.maximum(one, other).amin(dim=-1)
        met = (near < far) & (near > 0)
        color = torch.zeros_like(rays)
        points = (start + near[..., None] * along)[met]
        normals = torch.nn.functional.one_hot(face[met], 3) * torch.sign(points)
        color[met] = self._paint(points, normals)
        return met, color

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """See `Thing`."""
        generator = torch.Generator().manual_seed(0)
        points = (2 * torch.rand(count, 3, generator=generator) - 1) * self.half
        face = torch.randint(3, (count,), generator=generator)
        side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
        rows = torch.arange(count)
        points[rows, face] = side * self.half[face]
        normals = torch.nn.functional.one_hot(face, 3) * side[:, None]
        axes = self.place.axes
        return self.middle + points @ axes, normals @ axes, self._paint(points, normals)

    def _paint(self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        x, y, z = (points / self.place.radius).T
        u, v = torch.where(normals[:, 0].abs() > 0, y, x), torch.where(normals[:, 2].abs() > 0, y, z)
        color = torch.tensor([0.72, 0.54, 0.35]).expand(len(points), 3)
        color = torch.where((y.abs() < 0.09)[:, None], torch.tensor([0.86, 0.78, 0.60]), color)
        printed = ((u - 0.25).abs() < 0.16) & ((v / 0.05).floor() % 2 == 0) & (normals[:, 2].abs() == 0)
        color = torch.where(printed[:, None], torch.tensor([0.16, 0.20, 0.30]), color)
        grain = 0.85 + 0.3 * Noise(11).octaves(u * 30 + 20, v * 30 + 20, 3)
        return (color * grain[:, None] * lit(normals @ self.place.axes, self.place)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Flat:
    """Something without height on the surface: what it covers, no view sees."""

    place: Place
    inside: Callable[[Tensor, Tensor], Bool[Tensor, "*n"]]
    """Whether it reaches to a point of the plane, in units of the place's radius."""

    def meet(self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """See `Thing`."""
        axes = self.place.axes
        start, along = (eye - self._origin) @ axes.T, rays @ axes.T
        down = along[..., 2] < -1e-6
        length = -start[2] / torch.where(down, along[..., 2], -torch.ones_like(along[..., 2]))
        points = (start + length[..., None] * along) / self.place.radius
        met = down & (length > 0) & self.inside(points[..., 0], points[..., 1])
        color = torch.zeros_like(rays)
        color[met] = self._paint(points[met])
        return met, color

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """See `Thing`."""
        points = 2 * torch.rand(20 * count, 3, generator=torch.Generator().manual_seed(0)) - 1
        points[:, 2] = 0
        points = points[self.inside(points[:, 0], points[:, 1])][:count]
        world = self._origin + self.place.radius * points @ self.place.axes
        return world, self.place.up.expand_as(world), self._paint(points)

    @property
    def _origin(self) -> Float[Tensor, "3"]:
        return self.place.foot + FLAT * self.place.radius * self.place.up

    def _paint(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Rings in two colors."""
        x, y = points[:, 0], points[:, 1]
        ring = (5 * (x * x + y * y).sqrt()).floor() % 2
        color = torch.where((ring > 0)[:, None], torch.tensor([0.82, 0.20, 0.45]), torch.tensor([0.15, 0.55, 0.50]))
        grain = 0.85 + 0.3 * Noise(13).octaves(x * 24 + 20, y * 24 + 20, 3)
        return (color * grain[:, None]).clamp(0, 1)


def lit(normals: Float[Tensor, "n 3"], place: Place) -> Float[Tensor, "n 1"]:
    """How bright the light from above, and a little from the side, makes a surface."""
    side, _, up = place.axes
    light = normalize(up + 0.5 * side, dim=0)
    return (0.45 + 0.55 * (0.5 + 0.5 * (normals @ light)))[:, None]


def _in_disc(x: Tensor, y: Tensor) -> Bool[Tensor, "*n"]:
    return x * x + y * y < 1


def _in_scribble(x: Tensor, y: Tensor) -> Bool[Tensor, "*n"]:
    """Near a wave drawn from one side to the other."""
    return ((y - 0.55 * torch.sin(4.5 * x)).abs() < 0.22 * (1 + (2.5 * torch.cos(4.5 * x)) ** 2).sqrt()) & (x.abs() < 0.9)
