"""Triangle meshes of simple solids, and ray casting against several of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatpaint.extras import import_open3d


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, counterclockwise seen from outside."""

    vertices: Float[Tensor, "n 3"]
    """World units."""
    triangles: Int[Tensor, "m 3"]
    """Indices into the vertices."""

    @property
    def area(self) -> Float[Tensor, ""]:
        """Total area in square world units."""
        a, b, c = self.vertices[self.triangles].unbind(dim=1)
        return torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2


def box(low: Sequence[int | float], high: Sequence[int | float]) -> Mesh:
    """The axis-aligned box between two corners."""
    corners = torch.cartesian_prod(*(torch.tensor(side, dtype=torch.float32) for side in zip(low, high, strict=True)))
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(corners, torch.tensor([(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads]))


def revolved(profile: Sequence[tuple[int | float, int | float]], *, center: Sequence[int | float], sides: int = 64) -> Mesh:
    """A surface of revolution: (radius, height) points from bottom to top, rotated around the vertical line through `center`.

    The surface is closed if the first and the last radius are zero.
    """
    radius, height = torch.tensor(profile, dtype=torch.float32).unbind(dim=1)
    angle = torch.arange(sides) * (2 * math.pi / sides)
    x, y = radius[:, None] * angle.cos(), radius[:, None] * angle.sin()
    vertices = torch.stack([x, y, height[:, None].expand_as(x)], dim=-1) + torch.tensor(center, dtype=torch.float32)
    ring = torch.arange(sides)
    following = (ring + 1) % sides
    level = torch.arange(len(profile) - 1)[:, None] * sides
    a, b, c, d = (level + ring, level + following, level + sides + following, level + sides + ring)
    triangles = torch.cat([torch.stack([a, b, c], dim=-1), torch.stack([a, c, d], dim=-1)]).reshape(-1, 3)
    return Mesh(vertices.reshape(-1, 3), triangles)


def ball(center: Sequence[int | float], radius: int | float, *, sides: int = 64) -> Mesh:
    """A sphere with `sides` edges around its equator."""
    tilt = torch.linspace(-math.pi / 2, math.pi / 2, sides // 2 + 1, dtype=torch.float64)
    profile = [(radius * float(t.cos()), radius * float(t.sin())) for t in tilt]
    return revolved(profile, center=center, sides=sides)


def joined(parts: Iterable[Mesh]) -> Mesh:
    """All triangles of all parts as one mesh."""
    meshes = list(parts)
    starts = torch.tensor([0, *(len(mesh.vertices) for mesh in meshes[:-1])]).cumsum(dim=0)
    shifted = [mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(torch.cat([mesh.vertices for mesh in meshes]), torch.cat(shifted))


@dataclass(frozen=True, eq=False)
class Hits:
    """First intersections of rays."""

    distance: Float[Tensor, "*rays"]
    """Distance in units of the ray's direction; infinite where nothing is hit."""
    which: Int[Tensor, "*rays"]
    """Index of the mesh that is hit; -1 where nothing is hit."""
    points: Float[Tensor, "*rays 3"]
    """World positions of the hits; undefined where nothing is hit."""
    normals: Float[Tensor, "*rays 3"]
    """Unit normals of the triangles, outward."""

    @property
    def hit(self) -> Bool[Tensor, "*rays"]:
        """Whether a mesh is hit."""
        return self.which >= 0


class RayCaster:
    """Casts rays against several meshes (open3d's RaycastingScene)."""

    def __init__(self, meshes: Sequence[Mesh]) -> None:
        open3d = import_open3d()
        self._scene = open3d.t.geometry.RaycastingScene()
        self._count = len(meshes)
        for mesh in meshes:
            self._scene.add_triangles(mesh.vertices.float().numpy(), mesh.triangles.int().numpy().astype("uint32"))

    def __call__(self, origins: Float[Tensor, "*#rays 3"], directions: Float[Tensor, "*rays 3"]) -> Hits:
        """The first intersection of each ray."""
        rays = torch.cat([origins.expand_as(directions), directions], dim=-1).float()
        found = self._scene.cast_rays(import_open3d().core.Tensor(rays.numpy()))
        which = torch.from_numpy(found["geometry_ids"].numpy().astype("int64"))
        distance = torch.from_numpy(found["t_hit"].numpy())
        return Hits(
            distance=distance,
            which=torch.where(which < self._count, which, torch.full_like(which, -1)),
            points=rays[..., :3] + distance[..., None] * rays[..., 3:],
            normals=torch.from_numpy(found["primitive_normals"].numpy()),
        )
