"""A synthetic capture with ground truth: a furnished room with an object in it, and the same room without the object.

The images are ray-cast (open3d), not splatted, so the renderer of splatpaint has no advantage.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, normalize

from benchmarks import textures
from benchmarks.capture_writer import Frame, write_capture
from benchmarks.meshes import Hits, Mesh, RayCaster, ball, box, joined, revolved
from benchmarks.textures import Noise
from splatpaint.image.files import write_image
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.views import PointCloud

SUPERSAMPLING = 2
"""Rays per pixel along each axis."""
POINTS_PER_VIEW = 250
"""Sparse points sampled per view, about as many as structure from motion finds."""
TARGET = (0.05, 1.1, 0.42)
"""Point that the cameras look at, in meters: the middle of the object."""
OBJECT_AT = (0.05, 1.25)
"""Position (x, y) of the object on the floor, in meters."""
RADIUS_M = 2.3
"""Horizontal distance of the cameras from their target."""
ARC_DEG = 115.0
"""Angle of the camera arc around the target."""
LAMP = (-0.4, 0.35, 0.85)
"""Direction of the middle of the lamp that throws the object's shadow."""
LAMP_RADIUS = 0.3
"""Tangent of the lamp's angular radius, for a wide penumbra."""
LAMP_SHARE = 0.55
"""Share of the lamp in the light on a surface without a shadow; the rest comes from everywhere."""
LAMP_RAYS, SKY_RAYS = 24, 32
"""Rays toward the lamp, and over the hemisphere, a point."""
SHADOW_REACH_M = 1.5
"""Distance from the object beyond which it throws no shadow."""
GAMMA = 2.2
"""Light is proportional to an sRGB value to this power, about."""

Paint = Callable[[Float[Tensor, "n 3"], Noise], Float[Tensor, "n 3"]]
"""Function from points of a surface to sRGB colors."""


@dataclass(frozen=True)
class Solid:
    """A textured mesh in the room."""

    mesh: Mesh
    paint: Paint


def make_room(
    folder: Path, *, views: int = 36, size: tuple[int, int] = (320, 240), seed: int = 0, shadow: bool = False
) -> None:
    """Writes the room as a capture in transforms.json layout, with ground truth without the object.

    images/ and masks/ (white = the object) are the capture, with points.ply. truth/ holds the images without the object under
    the same names, truth_depth/ their z-depth in 16-bit millimeters; nothing in the capture refers to them.

    Args:
        folder: created if missing; existing files are overwritten.
        views: number of images.
        size: width and height of the images in pixels.
        seed: seed of the textures and of the point sampling.
        shadow: whether the object darkens what is around it. The truth has no shadow of it; without, the images show the
            furniture as the truth does.
    """
    noise = Noise(seed)
    generator = torch.Generator().manual_seed(seed)
    furniture, target_object = _furniture(), _object()
    with_object = RayCaster([*(solid.mesh for solid in furniture), target_object.mesh])
    without = RayCaster([solid.mesh for solid in furniture])
    thrown_by = RayCaster([target_object.mesh]) if shadow else None
    cameras = _cameras(views, *size)
    frames, positions, colors = [], [], []
    for index in range(views):
        camera, name = cameras[index], f"{index:03d}"
        fine = camera.resized(size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
        hits = _cast(without, fine)
        behind = _shade(hits, dict(enumerate(furniture)), noise)
        around = behind if thrown_by is None else behind * shadow_of(thrown_by, hits)[..., None]
        front = _cast(with_object, fine)
        covered = front.which == len(furniture)
        image = _downsample(torch.where(covered[..., None], _shade(front, {len(furniture): target_object}, noise), around))
        mask = max_pool2d(covered.float()[None], SUPERSAMPLING)
        frames.append(Frame(name=name, camera=camera, image=image, fill_mask=mask))
        write_image(folder / "truth" / f"{name}.png", _downsample(behind))
        _write_depth(folder / "truth_depth" / f"{name}.png", _cast(without, camera).distance)
        seen = torch.randint(size[0] * size[1], (POINTS_PER_VIEW,), generator=generator)
        positions.append(_cast(with_object, camera).points.reshape(-1, 3)[seen])
        colors.append(image.reshape(3, -1).T[seen])
    points = PointCloud(torch.cat(positions), torch.cat(colors).mul(255).round().byte())
    write_capture(folder, frames, points)


def _cameras(views: int, width: int, height: int) -> Cameras:
    """An arc around the target, rising and sinking on the way."""
    share = torch.linspace(0, 1, views)
    azimuth = torch.deg2rad((share - 0.5) * ARC_DEG)
    rise = 1.25 + 0.4 * torch.sin(share * 3 * 2 * math.pi)
    target = torch.tensor(TARGET)
    eye = torch.stack([target[0] + RADIUS_M * azimuth.sin(), target[1] - RADIUS_M * azimuth.cos(), rise], dim=-1)
    focal = 0.9 * width
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).repeat(views, 1, 1)
    return Cameras(K, look_at(eye, target.expand_as(eye), torch.tensor((0.0, 0.0, 1.0))), width=width, height=height)


def _cast(caster: RayCaster, camera: Cameras) -> Hits:
    """The intersection at every pixel center of one camera; distances are z-depths, because camera rays have z = 1."""
    directions = camera.rays()[0] @ camera.world_from_cam[0, :3, :3].T
    return caster(camera.centers[0], directions)


def _shade(hits: Hits, solids: Mapping[int, Solid], noise: Noise) -> Float[Tensor, "h w 3"]:
    """Diffuse colors under two fixed lights, darker near floor and walls."""
    color = torch.zeros_like(hits.points)
    for index, solid in solids.items():
        here = hits.which == index
        if here.any():
            color[here] = solid.paint(hits.points[here], noise)
    lights = normalize(torch.tensor([[-0.5, -0.7, 0.9], [0.9, -0.4, 0.35]]), dim=1)
    lambert = (hits.normals @ lights.T).clamp(min=0) @ torch.tensor([0.45, 0.2])
    corner = torch.stack([hits.points[..., 2], 2 - hits.points[..., 1]]).clamp(min=0)
    dimmed = (1 - 0.18 * torch.exp(-corner / 0.2)).prod(dim=0)
    return (color * ((0.6 + lambert) * dimmed)[..., None]).clamp(0, 1)


def shadow_of(thrown_by: RayCaster, hits: Hits) -> Float[Tensor, "*rays"]:
    """What the object's shadow makes of sRGB colors, in (0, 1]: the root of the share of light that still arrives.

    Light comes from a round lamp and, for the rest, from everywhere above a surface. Rays are the same at every point, so
    there is no noise.
    """
    factor = torch.ones_like(hits.distance)
    near = hits.hit & ((hits.points - torch.tensor(TARGET)).norm(dim=-1) < SHADOW_REACH_M)
    points, normals = hits.points[near], hits.normals[near]
    if len(points) == 0:
        return factor
    lamp = normalize(torch.tensor(LAMP), dim=0)
    to_lamp = (lamp + LAMP_RADIUS * _disc(LAMP_RAYS) @ _tangents(lamp[None])[0])[None].expand(len(points), -1, -1)
    disc = _disc(SKY_RAYS)
    height = (1 - disc.square().sum(dim=1)).clamp(min=0).sqrt()  # a disc under the hemisphere: weighed by the cosine
    to_sky = disc @ _tangents(normals) + height[:, None] * normals[:, None]

    def arriving(directions: Float[Tensor, "n m 3"]) -> Float[Tensor, " n"]:
        start = points + 1e-3 * normals
        return 1 - thrown_by(start[:, None].expand_as(directions), directions).hit.float().mean(dim=1)

    factor[near] = torch.lerp(arriving(to_sky), arriving(to_lamp), LAMP_SHARE) ** (1 / GAMMA)
    return factor


def _disc(count: int) -> Float[Tensor, "m 2"]:
    """Points spread evenly over the unit disc (Vogel's spiral)."""
    number = torch.arange(count)
    angle, radius = number * math.pi * (3 - math.sqrt(5)), ((number + 0.5) / count).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def _tangents(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2 3"]:
    """Two unit vectors at right angles to each normal and to one another."""
    side = normalize(torch.linalg.cross(normals, torch.tensor([0.31, 0.83, -0.46]).expand_as(normals)), dim=1)
    return torch.stack([side, torch.linalg.cross(normals, side)], dim=1)


def _downsample(samples: Float[Tensor, "h w 3"]) -> Float[Tensor, "3 hp wp"]:
    return avg_pool2d(samples.permute(2, 0, 1), SUPERSAMPLING)


def _write_depth(path: Path, depth: Float[Tensor, "h w"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((depth * 1000).round().clamp(0, 65535).numpy().astype(np.uint16)).save(path)


def _furniture() -> list[Solid]:
    """Floor, three walls, a rug, a sideboard, shelves, a picture and a small table; the wall behind the object is y = 2."""
    table = [box((1.05, 0.95, 0.42), (1.75, 1.6, 0.47))]
    table += [box((x, y, 0), (x + 0.05, y + 0.05, 0.42)) for x in (1.07, 1.68) for y in (0.97, 1.53)]
    return [
        Solid(box((-3, -3, -0.1), (3, 2, 0)), lambda p, n: textures.planks(p[:, 0], p[:, 1], n)),
        Solid(box((-3, 2, 0), (3, 2.1, 3)), lambda p, n: textures.wallpaper(p[:, 0], p[:, 2], n)),
        Solid(box((-3.1, -3, 0), (-3, 2, 3)), lambda p, n: textures.bricks(p[:, 1], p[:, 2], n)),
        Solid(box((3, -3, 0), (3.1, 2, 3)), lambda p, n: textures.bricks(p[:, 1], p[:, 2], n)),
        Solid(box((-0.8, 0.2, 0), (0.8, 1.6, 0.012)), _rug),
        Solid(box((-1.9, 1.55, 0), (-0.95, 2, 0.75)), _sideboard),
        Solid(box((2.1, 0.6, 0), (2.6, 2, 1.6)), lambda p, n: textures.spines(p[:, 0] + p[:, 1], p[:, 2], n)),
        Solid(box((0.75, 1.96, 0.95), (1.55, 2, 1.5)), _picture),
        Solid(joined(table), lambda p, n: textures.wood(p[:, 0], p[:, 1] + p[:, 2], n, (0.75, 0.62, 0.45))),
        Solid(box((-1.6, 1.65, 0.75), (-1.25, 1.9, 1.0)), lambda p, n: textures.spines(p[:, 2] * 1.5, p[:, 0] - p[:, 1], n)),
        Solid(ball((1.4, 1.3, 0.58), 0.11), _toy),
    ]


def _object() -> Solid:
    """The object to be removed: a painted urn on a crate."""
    x, y = OBJECT_AT
    crate = box((x - 0.2, y - 0.2, 0.012), (x + 0.2, y + 0.2, 0.32))
    outline = [
        (0.0, 0.32),
        (0.1, 0.32),
        (0.07, 0.37),
        (0.15, 0.45),
        (0.19, 0.56),
        (0.16, 0.68),
        (0.08, 0.76),
        (0.1, 0.82),
        (0.0, 0.8),
    ]
    return Solid(joined([crate, revolved(outline, center=(x, y, 0))]), _urn)


def _urn(points: Float[Tensor, "n 3"], noise: Noise) -> Float[Tensor, "n 3"]:
    x, y, z = points.unbind(dim=1)
    crate = textures.wood(x + y, z * 2, noise, (0.85, 0.68, 0.42))
    zigzag = ((torch.atan2(y - OBJECT_AT[1], x - OBJECT_AT[0]) * 14 / (2 * math.pi) % 1 - 0.5).abs() * 0.12 + z) / 0.09 % 1
    glaze = textures.mixed((0.10, 0.25, 0.62), (0.93, 0.90, 0.82), textures.edge(zigzag, 0.45, 0.1))
    return torch.where((z > 0.3205)[:, None], glaze, crate)


def _rug(points: Float[Tensor, "n 3"], noise: Noise) -> Float[Tensor, "n 3"]:
    return textures.carpet(points[:, 0], points[:, 1] - 0.9, noise, half=(0.8, 0.7))


def _sideboard(points: Float[Tensor, "n 3"], noise: Noise) -> Float[Tensor, "n 3"]:
    x, y, z = points.unbind(dim=1)
    panel = textures.edge(((x + 1.9) / 0.475 % 1 - 0.5).abs(), 0.45, 0.02) + textures.edge(
        (z / 0.25 % 1 - 0.5).abs(), 0.44, 0.03
    )
    knob = textures.edge(0.03 - torch.hypot((x + 1.9) % 0.475 - 0.24, z % 0.25 - 0.125), 0.0, 0.006)
    color = textures.wood(x + y, z, noise, (0.52, 0.30, 0.18)) * (1 - 0.6 * panel.clamp(max=1))[:, None]
    return torch.lerp(color, torch.tensor((0.88, 0.76, 0.40)), knob[:, None])


def _toy(points: Float[Tensor, "n 3"], noise: Noise) -> Float[Tensor, "n 3"]:
    band = textures.edge((points[:, 2] / 0.06 % 1 - 0.5).abs(), 0.24, 0.04)
    return (
        textures.mixed((0.92, 0.78, 0.25), (0.25, 0.45, 0.65), band)
        * (0.8 + 0.4 * noise(points[:, 0] * 60, points[:, 2] * 60))[:, None]
    )


def _picture(points: Float[Tensor, "n 3"], noise: Noise) -> Float[Tensor, "n 3"]:
    """Hills under an evening sky in a dark frame."""
    x, z = points[:, 0] - 1.15, points[:, 2] - 1.225
    hills = textures.edge(0.12 * noise.octaves(x * 5, torch.zeros_like(x), 3) - 0.1 - z, 0.0, 0.01)
    sky = textures.mixed((0.95, 0.62, 0.35), (0.25, 0.35, 0.62), ((z + 0.1) / 0.35).clamp(0, 1))
    color = torch.lerp(sky, torch.tensor((0.16, 0.30, 0.18)), hills[:, None])
    frame = torch.maximum(textures.edge(x.abs(), 0.35, 0.01), textures.edge(z.abs(), 0.225, 0.01))
    return torch.lerp(color, torch.tensor((0.20, 0.13, 0.08)), frame[:, None])
