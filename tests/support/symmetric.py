"""A can with its label twice, in a box whose walls all differ: what structure from motion may merge into one side."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from splatpaint.image.files import write_image, write_mask
from splatpaint.scene.camera import look_at
from splatpaint.scene.views import Capture, PointCloud, Similarity, View
from tests.support.captures import HALF, texture
from tests.support.scenes import one_camera

RADIUS, HALF_HEIGHT = 0.25, 0.35
DISTANCE = 1.2
"""Of the cameras from the can's axis, the y axis."""
HALF_TURN = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
"""About the can's axis, under which the can is as before."""
FARTHEST = 20.0


@dataclass(frozen=True, eq=False)
class Surface:
    """What rays meet."""

    points: np.ndarray
    colors: np.ndarray
    is_can: np.ndarray


def capture_of_can(folder: Path, *, views: int = 24, size: tuple[int, int] = (64, 48), points: int = 1500) -> Capture:
    """Views on a full circle around the can, which is what their masks mark; named 0000, 0001, ... along the circle."""
    width, height = size
    angles = torch.arange(views) * (2 * math.pi / views)
    eyes = torch.stack([angles.sin() * DISTANCE, 0.25 * (2 * angles).sin() - 0.3, -angles.cos() * DISTANCE], dim=1)
    poses = look_at(eyes, torch.zeros(views, 3), torch.tensor([0.0, -1.0, 0.0]))
    made, seen, colors = [], [], []
    random = np.random.default_rng(0)
    for index in range(views):
        camera = replace(one_camera(width, height, 0.8 * width), cam_from_world=poses[index : index + 1])
        directions = (camera.rays()[0] @ camera.world_from_cam[0, :3, :3].T).reshape(-1, 3)
        met = _cast(camera.centers[0].double().numpy(), directions.double().numpy())
        name = f"{index:04d}"
        image, mask = folder / f"{name}.png", folder / "masks" / f"{name}.png"
        write_image(image, torch.from_numpy(met.colors).float().T.reshape(3, height, width))
        write_mask(mask, torch.from_numpy(met.is_can).float().reshape(1, height, width))
        made.append(View(name, camera, image, fill_mask=mask))
        some = random.choice(len(met.points), points // views, replace=False)
        seen.append(met.points[some])
        colors.append(met.colors[some])
    cloud = PointCloud(
        torch.from_numpy(np.concatenate(seen)).float(), torch.from_numpy(np.concatenate(colors) * 255).round().byte()
    )
    return Capture(tuple(made), (), cloud, Similarity())


def merged(capture: Capture, names: set[str]) -> Capture:
    """The capture as if these views had been taken for views of the can's other side: their poses are half a turn off."""

    def turned(view: View) -> View:
        return replace(view, camera=replace(view.camera, cam_from_world=view.camera.cam_from_world @ HALF_TURN))

    return replace(capture, views=tuple(turned(view) if view.name in names else view for view in capture.views))


def _cast(eye: np.ndarray, directions: np.ndarray) -> Surface:
    """The nearest of the can and the box's inside along each ray."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wall = ((np.sign(directions) * HALF - eye) / directions).min(axis=-1)
        flat, out = directions[:, [0, 2]], eye[[0, 2]]
        a, b, c = (flat**2).sum(axis=1), flat @ out, out @ out - RADIUS**2
        side = (-b - np.sqrt(b**2 - a * c)) / a
        lid = (-np.sign(directions[:, 1]) * HALF_HEIGHT - eye[1]) / directions[:, 1]
    reaches = []
    for reach, on_side in ((side, True), (lid, False)):
        where = eye + directions * np.nan_to_num(reach, nan=FARTHEST, posinf=FARTHEST, neginf=-FARTHEST)[:, None]
        inside = np.abs(where[:, 1]) <= HALF_HEIGHT if on_side else np.hypot(where[:, 0], where[:, 2]) <= RADIUS
        reaches.append(np.where(inside & (reach > 0), reach, np.inf))
    can = np.minimum(*reaches)
    is_can = can < wall
    points = eye + directions * np.where(is_can, can, wall)[:, None]
    x, y, z = points.T
    twice = np.stack([(x**2 - z**2) / RADIUS, y, 2 * x * z / RADIUS], axis=1)
    return Surface(points, np.where(is_can[:, None], texture(2 * twice), texture(0.4 * points)), is_can)
