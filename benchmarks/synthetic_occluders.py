"""Synthetic occluders to render into photos: ball, box, disc and scribble, ray-traced in closed form with procedural textures.

An occluder lies on a plane. The background of the solid ones (ball, box) is partly visible in other views. The flat ones (disc,
scribble) hide a part of the plane from all views, so that the fill has no observation of it.
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

SINK_DEPTH = 0.04
"""Depth of an occluder below the fitted plane, as a share of its radius: real surfaces are rough, and a gap would be
visible."""
SHADOW_STRENGTH = 0.8
"""Share of the hidden light that is missing; the rest comes from beside."""
GAMMA = 2.2
"""Light is proportional to an sRGB value to this power, about."""
FLAT = 0.02
"""Height of flat occluders above the plane, as a share of their radius."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Position, orientation and size of an occluder."""

    foot: Float[Tensor, "3"]
    """Point on the surface, in the world of the capture."""
    up: Float[Tensor, "3"]
    """The surface's normal."""
    radius: float
    """Radius of the bounding ball that rests on the surface, in world units."""

    @property
    def center(self) -> Float[Tensor, "3"]:
        """Center of the bounding ball."""
        return self.foot + (1 - SINK_DEPTH) * self.radius * self.up

    @property
    def axes(self) -> Float[Tensor, "3 3"]:
        """Rows: two tangents of the surface, and its normal."""
        side = normalize(torch.linalg.cross(self.up, torch.tensor([0.31, 0.83, -0.46])), dim=0)
        return torch.stack([side, torch.linalg.cross(self.up, side), self.up])


class Occluder(Protocol):
    """An object that can be rendered into photos."""

    @property
    def placement(self) -> Placement:
        """Its placement."""
        ...

    def intersect(
        self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]
    ) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """Which unit rays from the eye hit it, and the sRGB colors at the hits; zero elsewhere."""
        ...

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """Surface points with normals and colors, for the sparse point cloud of the capture."""
        ...


def occluder_at(placement: Placement, shape: Shape) -> Occluder:
    """An occluder of the given shape."""
    match shape:
        case "ball":
            return Ball(placement)
        case "box":
            return Box(placement)
        case "disc":
            return Flat(placement, _in_disc)
        case "scribble":
            return Flat(placement, _in_scribble)


@dataclass(frozen=True, eq=False)
class Ball:
    """A beach ball."""

    placement: Placement

    def intersect(
        self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]
    ) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """See `Occluder`."""
        offset, radius = eye - self.placement.center, self.placement.radius
        b = rays @ offset
        inside = b * b - offset @ offset + radius**2
        hit = (inside > 0) & (b < 0)
        normal = (offset + (-b - inside.clamp(min=0).sqrt())[..., None] * rays) / radius
        color = torch.zeros_like(rays)
        color[hit] = self._paint(normal[hit])
        return hit, color

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """See `Occluder`."""
        normals = normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)
        return self.placement.center + self.placement.radius * normals, normals, self._paint(normals)

    def _paint(self, normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Sectors in three colors with woven grain, shading from above."""
        side, across, up = self.placement.axes
        tilted = normalize(up + 0.6 * side, dim=0)
        front = torch.linalg.cross(tilted, normalize(across + 0.3 * up, dim=0))
        height = normals @ tilted
        angle = torch.atan2(normals @ torch.linalg.cross(tilted, front), normals @ front)
        sector = ((angle / (2 * math.pi) + 0.5) * 6).floor() % 3
        palette = torch.tensor([[0.80, 0.16, 0.13], [0.93, 0.90, 0.82], [0.12, 0.34, 0.66]])
        color = torch.where((height.abs() > 0.9)[:, None], torch.tensor([0.95, 0.72, 0.15]), palette[sector.long()])
        grain = 0.85 + 0.3 * Noise(7).octaves(angle * 8 + 30, height * 20 + 30, 3)
        return (color * grain[:, None] * shading(normals, self.placement)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Box:
    """A cardboard box with tape and print."""

    placement: Placement

    @property
    def half(self) -> Float[Tensor, "3"]:
        """Half the edge lengths, along the axes of the placement."""
        return self.placement.radius * torch.tensor([0.72, 0.52, 0.44])

    @property
    def box_center(self) -> Float[Tensor, "3"]:
        """Its center."""
        return self.placement.foot + (self.half[2] - SINK_DEPTH * self.placement.radius) * self.placement.up

    def intersect(
        self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]
    ) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """See `Occluder`; the slab method."""
        axes = self.placement.axes
        start, along = (eye - self.box_center) @ axes.T, rays @ axes.T
        safe = torch.where(along.abs() > 1e-9, along, torch.full_like(along, 1e-9))
        one, other = (-self.half - start) / safe, (self.half - start) / safe
        near, face = torch.minimum(one, other).max(dim=-1)
        far = torch.maximum(one, other).amin(dim=-1)
        hit = (near < far) & (near > 0)
        color = torch.zeros_like(rays)
        points = (start + near[..., None] * along)[hit]
        normals = torch.nn.functional.one_hot(face[hit], 3) * torch.sign(points)
        color[hit] = self._paint(points, normals)
        return hit, color

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """See `Occluder`."""
        generator = torch.Generator().manual_seed(0)
        points = (2 * torch.rand(count, 3, generator=generator) - 1) * self.half
        face = torch.randint(3, (count,), generator=generator)
        side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
        rows = torch.arange(count)
        points[rows, face] = side * self.half[face]
        normals = torch.nn.functional.one_hot(face, 3) * side[:, None]
        axes = self.placement.axes
        return self.box_center + points @ axes, normals @ axes, self._paint(points, normals)

    def _paint(self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        x, y, z = (points / self.placement.radius).T
        u, v = torch.where(normals[:, 0].abs() > 0, y, x), torch.where(normals[:, 2].abs() > 0, y, z)
        color = torch.tensor([0.72, 0.54, 0.35]).expand(len(points), 3)
        color = torch.where((y.abs() < 0.09)[:, None], torch.tensor([0.86, 0.78, 0.60]), color)
        printed = ((u - 0.25).abs() < 0.16) & ((v / 0.05).floor() % 2 == 0) & (normals[:, 2].abs() == 0)
        color = torch.where(printed[:, None], torch.tensor([0.16, 0.20, 0.30]), color)
        grain = 0.85 + 0.3 * Noise(11).octaves(u * 30 + 20, v * 30 + 20, 3)
        return (color * grain[:, None] * shading(normals @ self.placement.axes, self.placement)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Flat:
    """A flat shape on the surface: no view sees what it covers."""

    placement: Placement
    inside: Callable[[Tensor, Tensor], Bool[Tensor, "*n"]]
    """Whether points of the plane belong to it, in units of the placement's radius."""

    def intersect(
        self, eye: Float[Tensor, "3"], rays: Float[Tensor, "*n 3"]
    ) -> tuple[Bool[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """See `Occluder`."""
        axes = self.placement.axes
        start, along = (eye - self._origin) @ axes.T, rays @ axes.T
        down = along[..., 2] < -1e-6
        length = -start[2] / torch.where(down, along[..., 2], -torch.ones_like(along[..., 2]))
        points = (start + length[..., None] * along) / self.placement.radius
        hit = down & (length > 0) & self.inside(points[..., 0], points[..., 1])
        color = torch.zeros_like(rays)
        color[hit] = self._paint(points[hit])
        return hit, color

    def surface(self, count: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """See `Occluder`."""
        points = 2 * torch.rand(20 * count, 3, generator=torch.Generator().manual_seed(0)) - 1
        points[:, 2] = 0
        points = points[self.inside(points[:, 0], points[:, 1])][:count]
        world = self._origin + self.placement.radius * points @ self.placement.axes
        return world, self.placement.up.expand_as(world), self._paint(points)

    @property
    def _origin(self) -> Float[Tensor, "3"]:
        return self.placement.foot + FLAT * self.placement.radius * self.placement.up

    def _paint(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Rings in two colors."""
        x, y = points[:, 0], points[:, 1]
        ring = (5 * (x * x + y * y).sqrt()).floor() % 2
        color = torch.where((ring > 0)[:, None], torch.tensor([0.82, 0.20, 0.45]), torch.tensor([0.15, 0.55, 0.50]))
        grain = 0.85 + 0.3 * Noise(13).octaves(x * 24 + 20, y * 24 + 20, 3)
        return (color * grain[:, None]).clamp(0, 1)


def shading(normals: Float[Tensor, "n 3"], placement: Placement) -> Float[Tensor, "n 1"]:
    """Diffuse shading by one light from above and to the side."""
    side, _, up = placement.axes
    light = normalize(up + 0.5 * side, dim=0)
    return (0.45 + 0.55 * (0.5 + 0.5 * (normals @ light)))[:, None]


def foot_shadow(placement: Placement, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
    """What a soft shadow leaves of the sRGB values of points on the surface: that of a ball under light from everywhere.

    The ball hides (height / distance) (radius / distance)^2 of the light, see the view factors of spheres.
    """
    along = (points - placement.foot) @ placement.axes[:2].T
    height = placement.center.sub(placement.foot) @ placement.up
    distance = (along.square().sum(dim=-1) + height**2).sqrt()
    hidden = (height / distance) * (placement.radius / distance) ** 2
    return (1 - SHADOW_STRENGTH * hidden.clamp(max=1)) ** (1 / GAMMA)


def _in_disc(x: Tensor, y: Tensor) -> Bool[Tensor, "*n"]:
    return x * x + y * y < 1


def _in_scribble(x: Tensor, y: Tensor) -> Bool[Tensor, "*n"]:
    """Within a band around a sine wave."""
    return ((y - 0.55 * torch.sin(4.5 * x)).abs() < 0.22 * (1 + (2.5 * torch.cos(4.5 * x)) ** 2).sqrt()) & (x.abs() < 0.9)
