"""A textured table with a block on it that may throw a soft shadow, photographed from all around."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.textures import Noise, bricks
from splatpaint.image.files import write_image, write_mask
from splatpaint.render.native import rasterize
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.scene.views import Capture, PointCloud, Similarity, View
from tests.support.cylinder_shade import cylinder_shade
from tests.support.walls import flat

RADIUS, HEIGHT = 0.22, 0.4
"""Of the block."""


@dataclass(frozen=True, eq=False)
class Table:
    """The scene as photographed, and its truth."""

    table: Splats
    """As the photos show it."""
    truth: Splats
    """The table without the shadow."""
    block: Splats
    capture: Capture

    @property
    def scene(self) -> Splats:
        return concatenate([self.table, self.block])


def away_from_block(points: Tensor) -> Tensor:
    return points[:, :2].norm(dim=1) - RADIUS


def table_with_block(folder: Path, *, shadow: bool = True, tile: bool = False, views: int = 10) -> Table:
    """The table is z = 0, the block stands in its middle.

    Args:
        folder: for the photos.
        shadow: whether the block takes light from the table.
        tile: whether the block stands on a dark square with sharp edges.
    """
    side = torch.linspace(-1.3, 1.3, 87)
    y, x = (part.reshape(-1) for part in torch.meshgrid(side, side, indexing="ij"))
    means = torch.stack([x, y, torch.zeros_like(x)], dim=1)
    paint = bricks(x + 3, y + 3, Noise(0))
    if tile:
        paint = torch.where(((x.abs() < 0.45) & (y.abs() < 0.45))[:, None], 0.5 * paint, paint)
    shade = cylinder_shade(x, y, radius=RADIUS, height=HEIGHT) if shadow else torch.ones_like(x)
    table, truth = (flat(means, color, 0.018) for color in (paint * shade[:, None], paint))
    generator = torch.Generator().manual_seed(0)
    angle = torch.rand(500, generator=generator) * 2 * torch.pi
    height = torch.rand(500, generator=generator) * HEIGHT + 0.02
    shell = torch.stack([(RADIUS - 0.03) * angle.cos(), (RADIUS - 0.03) * angle.sin(), height], dim=1)
    block = flat(shell, torch.tensor([0.2, 0.3, 0.8]).expand(500, 3), 0.03)
    scene = concatenate([table, block])
    is_block = torch.cat([torch.zeros(len(table), 1), torch.ones(500, 1)])
    turn = torch.arange(views) / views * 2 * torch.pi
    eyes = torch.stack([1.7 * turn.cos(), 1.7 * turn.sin(), 1.1 + 0.4 * torch.sin(3 * turn)], dim=1)
    poses = look_at(eyes, torch.tensor([[0.0, 0.0, 0.1]]).expand(views, 3), torch.tensor([0.0, 0.0, 1.0]))
    K = torch.tensor([[[110.0, 0.0, 64.0], [0.0, 110.0, 48.0], [0.0, 0.0, 1.0]]])
    made = []
    for index in range(views):
        camera = Cameras(K=K, cam_from_world=poses[index : index + 1], width=128, height=96)
        image, mask = folder / f"{index}.png", folder / f"{index}_mask.png"
        write_image(image, rasterize(scene, camera).color[0].clamp(0, 1))
        write_mask(mask, (rasterize(scene, camera, features=is_block).color[0] > 0.1).float())
        made.append(View(f"{index}", camera, image, fill_mask=mask))
    points = PointCloud(scene.means, torch.zeros(len(scene), 3, dtype=torch.uint8))
    return Table(table, truth, block, Capture(tuple(made), (), points, Similarity()))
