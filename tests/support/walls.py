"""A wall with a ball in front of it, photographed from a few places: a removal with known truth."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.capture_writer import Frame, write_capture
from splatpaint.image.files import read_image, read_mask, write_image, write_mask
from splatpaint.masks.removal import Hole, Removal
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.splats import SH_C0, Splats, concatenate
from splatpaint.scene.views import Capture, PointCloud, Similarity, View

SIZE = (40, 32)


@dataclass(frozen=True, eq=False)
class Wall:
    """The scene's parts and a capture of it."""

    wall: Splats
    ball: Splats
    capture: Capture

    @property
    def scene(self) -> Splats:
        return concatenate([self.wall, self.ball])


def flat(means: Tensor, colors: Tensor, scale: float, opacity: float = 0.97) -> Splats:
    n = len(means)
    return Splats(
        means=means,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        log_scales=torch.full((n, 3), scale).log(),
        logit_opacities=torch.logit(torch.full((n,), opacity)),
        sh=((colors - 0.5) / SH_C0)[:, None],
    )


def wall_with_ball(folder: Path, *, views: int = 5, ball_z: float = 0.6) -> Wall:
    """A wall at z = 1 striped in two grays, a red ball before it, cameras near the origin; masks are the ball's silhouettes."""
    side = torch.linspace(-1.2, 1.2, 25)
    y, x = torch.meshgrid(side * 0.8, side, indexing="ij")
    wall = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)
    stripes = (0.45 + 0.2 * ((wall[:, :1] * 2).floor() % 2)).expand(-1, 3)
    wall_splats = flat(wall, stripes, 0.05)
    generator = torch.Generator().manual_seed(0)
    ball = torch.nn.functional.normalize(torch.randn(60, 3, generator=generator), dim=1) * 0.05
    ball_splats = flat(ball + torch.tensor([0.0, 0.0, ball_z]), torch.tensor([0.9, 0.1, 0.1]).expand(60, 3), 0.025)
    scene = concatenate([wall_splats, ball_splats])
    is_ball = torch.cat([torch.zeros(len(wall_splats), 1), torch.ones(60, 1)])

    angles = torch.arange(views) / views * 2 * torch.pi
    eyes = torch.stack([0.4 * angles.cos(), 0.3 * angles.sin(), torch.zeros(views)], dim=1)
    poses = look_at(eyes, torch.tensor([[0.0, 0.0, 1.0]]).expand(views, 3), torch.tensor([0.0, -1.0, 0.0]))
    width, height = SIZE
    K = torch.tensor([[[36.0, 0.0, width / 2], [0.0, 36.0, height / 2], [0.0, 0.0, 1.0]]])
    made = []
    for index in range(views):
        camera = Cameras(K=K, cam_from_world=poses[index : index + 1], width=width, height=height)
        image, mask = folder / f"{index}.png", folder / f"{index}_mask.png"
        write_image(image, rasterize(scene, camera).color[0].clamp(0, 1))
        write_mask(mask, (rasterize(scene, camera, features=is_ball).color[0] > 0.1).float())
        made.append(View(f"{index}", camera, image, fill_mask=mask))
    points = PointCloud(scene.means, (scene.sh[:, 0] * SH_C0 + 0.5).clamp(0, 1).mul(255).byte())
    return Wall(wall_splats, ball_splats, Capture(tuple(made), (), points, Similarity()))


def write_wall(folder: Path, *, ball_z: float = 0.6) -> Path:
    """A folder with photos, masks, poses and points of the wall and its ball; the names of the views have folders."""
    capture = wall_with_ball(folder / "drawn", ball_z=ball_z).capture
    frames = [
        Frame(f"{side}/{view.name}", view.camera, read_image(view.image), read_mask(view.fill_mask))
        for view, side in zip(capture.views, ("left", "right", "left", "right", "left"), strict=True)
        if view.fill_mask
    ]
    assert capture.points
    write_capture(folder / "capture", frames, capture.points)
    return folder / "capture"


def holed_wall(folder: Path) -> tuple[Wall, Removal]:
    """A wall without its ball, and a hole in the middle of every view from which the splats are taken."""
    scene = wall_with_ball(folder)
    middle = (scene.wall.means[:, :2].abs() < 0.12).all(dim=1)
    kept = scene.wall[~middle]
    holes = []
    for view in scene.capture.views:
        missing = (rasterize(kept, view.camera).alpha < 0.8).float()
        missing[..., :8, :] = missing[..., -8:, :] = 0
        missing[..., :10] = missing[..., -10:] = 0
        assert 0 < missing.sum() < 0.3 * missing.numel()
        holes.append(Hole(view.name, missing.bool(), missing.bool(), torch.zeros_like(missing).bool()))
    return scene, Removal(kept, tuple(holes))
