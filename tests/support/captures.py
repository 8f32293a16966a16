"""Tiny real captures: photos of the inside of a textured box, taken through any lens, written in every layout."""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatpaint.capture.lens import Lens
from splatpaint.capture.posed import Photo
from splatpaint.image.files import write_image, write_mask
from splatpaint.scene.camera import look_at

HALF = np.array([2.0, 1.5, 2.5])
"""Half the box's size; its middle is the origin."""
PINHOLE = Lens("PINHOLE", 64, 48, 50.0, 50.0, 32.0, 24.0)


@dataclass(frozen=True, eq=False)
class Shots:
    """Photos with everything that is known about them. Poses are OpenCV camera-to-world."""

    lens: Lens
    world_from_cam: np.ndarray
    images: list[torch.Tensor]
    points: np.ndarray
    colors: np.ndarray

    @property
    def names(self) -> list[str]:
        return [f"shot_{number:02d}" for number in range(len(self.images))]

    @property
    def photos(self) -> tuple[Photo, ...]:
        """As a reader would give them, without files."""
        poses = zip(self.names, self.cam_from_world, strict=True)
        return tuple(Photo(name, Path(f"{name}.png"), self.lens, pose) for name, pose in poses)

    @property
    def cam_from_world(self) -> np.ndarray:
        return np.linalg.inv(self.world_from_cam)


def shoot(lens: Lens = PINHOLE, *, views: int = 5, points: int = 200) -> Shots:
    """Views from one side of the box to the far wall, on an arc."""
    angle = np.linspace(-0.5, 0.5, views)
    eyes = np.stack([1.2 * np.sin(angle), 0.3 * np.cos(3 * angle), -1.4 * np.cos(angle)], axis=1)
    target = torch.tensor([[0.0, 0.0, 1.5]], dtype=torch.float64).expand(views, 3)
    cam_from_world = look_at(torch.from_numpy(eyes), target, torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    world_from_cam = np.linalg.inv(cam_from_world.numpy())
    on_wall = np.random.default_rng(1).uniform(-0.5, 0.5, size=(points, 3)) * HALF
    on_wall[:, 2] = HALF[2]
    return Shots(
        lens,
        world_from_cam,
        [photograph(lens, pose) for pose in world_from_cam],
        on_wall,
        (texture(on_wall) * 255).round().astype(np.uint8),
    )


def photograph(lens: Lens, world_from_cam: np.ndarray) -> torch.Tensor:
    """What the lens shows of the box: ideal rays by fixed-point iteration, one sample a pixel."""
    y, x = np.mgrid[0.5 : lens.height, 0.5 : lens.width]
    distorted = np.stack([(x - lens.cx) / lens.fx, (y - lens.cy) / lens.fy], axis=-1)
    rays = distorted.copy()
    for _ in range(50):
        rays = rays + distorted - lens.distort(rays)
    directions = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1) @ world_from_cam[:3, :3].T
    eye = world_from_cam[:3, 3]
    with np.errstate(divide="ignore"):
        reach = ((np.sign(directions) * HALF - eye) / directions).min(axis=-1)
    return torch.from_numpy(texture(eye + directions * reach[..., None])).permute(2, 0, 1).float()


def texture(positions: np.ndarray) -> np.ndarray:
    """A smooth random color at any place: a sum of plane waves, so it is the same from everywhere and rich in corners."""
    waves, phases, weights = _waves()
    return 0.5 + 0.5 * np.tanh(np.sin(positions @ waves.T + phases) @ weights)


@lru_cache
def _waves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(40, 3)) * 6.0, random.uniform(0, 6.28, size=40), random.normal(size=(40, 3)) * 0.25


def write_photos(folder: Path, shots: Shots, *, suffix: str = ".png") -> None:
    for name, image in zip(shots.names, shots.images, strict=True):
        write_image(folder / f"{name}{suffix}", image)


def write_masks(folder: Path, shots: Shots, *, end: str = ".png", share: float = 0.25, black: bool = False) -> None:
    """A mask a photo: the left `share` of the columns is marked."""
    for name in shots.names:
        mask = torch.zeros(1, shots.lens.height, shots.lens.width)
        mask[..., : round(shots.lens.width * share)] = 1
        write_mask(folder / f"{name}{end}", 1 - mask if black else mask)


def transforms_of(shots: Shots) -> dict[str, Any]:
    """The content of a transforms.json: camera-to-world with OpenGL axes."""
    lens = shots.lens
    names = ("k1", "k2", "k3", "k4")
    return {
        "camera_model": "OPENCV_FISHEYE" if lens.fisheye else "OPENCV",
        "w": lens.width,
        "h": lens.height,
        "fl_x": lens.fx,
        "fl_y": lens.fy,
        "cx": lens.cx,
        "cy": lens.cy,
        **dict(zip(names, lens.radial, strict=False)),
        "p1": lens.tangential[0],
        "p2": lens.tangential[1],
        "frames": [
            {"file_path": f"images/{name}.png", "transform_matrix": (pose @ np.diag([1, -1, -1, 1])).tolist()}
            for name, pose in zip(shots.names, shots.world_from_cam, strict=True)
        ],
    }


def write_transforms(root: Path, shots: Shots, **changed: Any) -> Path:
    write_photos(root / "images", shots)
    (root / "transforms.json").write_text(json.dumps({**transforms_of(shots), **changed}))
    return root


def write_colmap(root: Path, shots: Shots, *, binary: bool = False, model: str = "sparse/0") -> Path:
    """A model in which every photo sees every point; each photo has a camera of its own."""
    import pycolmap

    write_photos(root / "images", shots)
    folder = root / model
    folder.mkdir(parents=True)
    cameras, images, points = [], [], []
    for number, (name, pose) in enumerate(zip(shots.names, shots.cam_from_world, strict=True), start=1):
        cameras.append(f"{number} {colmap_camera(shots.lens)}")
        quaternion = pycolmap.Rotation3d(pose[:3, :3]).quat
        placed = " ".join(repr(float(value)) for value in (quaternion[3], *quaternion[:3], *pose[:3, 3]))
        in_cam = shots.points @ pose[:3, :3].T + pose[:3, 3]
        pixels = shots.lens.image(in_cam[:, :2] / in_cam[:, 2:])
        images.append(f"{number} {placed} {number} {name}.png")
        images.append(" ".join(f"{x!r} {y!r} {index}" for index, (x, y) in enumerate(pixels.tolist(), start=1)))
    tracks = range(1, len(shots.names) + 1)
    for index, (place, color) in enumerate(zip(shots.points.tolist(), shots.colors.tolist(), strict=True)):
        row = [index + 1, *place, *color, 0.5, *(value for image in tracks for value in (image, index))]
        points.append(" ".join(map(str, row)))
    for part, lines in {"cameras": cameras, "images": images, "points3D": points}.items():
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n")
    if binary:
        pycolmap.Reconstruction(folder).write_binary(folder)
        for file in folder.glob("*.txt"):
            file.unlink()
    return root


def colmap_camera(lens: Lens) -> str:
    """Model, size and parameters as in cameras.txt."""
    center = (lens.cx, lens.cy)
    match lens.model:
        case "SIMPLE_PINHOLE" | "SIMPLE_RADIAL" | "RADIAL" | "SIMPLE_RADIAL_FISHEYE" | "RADIAL_FISHEYE":
            values = (lens.fx, *center, *lens.radial)
        case "FULL_OPENCV":
            values = (lens.fx, lens.fy, *center, *lens.radial[:2], *lens.tangential, lens.radial[2], *lens.divisor)
        case "OPENCV":
            values = (lens.fx, lens.fy, *center, *lens.radial, *lens.tangential)
        case _:
            values = (lens.fx, lens.fy, *center, *lens.radial)
    return " ".join(map(str, (lens.model, lens.width, lens.height, *values)))


def write_llff(root: Path, shots: Shots, *, images: str = "images_2", solved_scale: int = 2) -> Path:
    """Rows of (down, right, back, center, height-width-focal) and bounds; the sizes are those before reduction."""
    write_photos(root / images, shots)
    lens = replace(shots.lens).rescaled(shots.lens.width * solved_scale, shots.lens.height * solved_scale)
    rows = []
    for pose in shots.world_from_cam:
        right, down, forward, center = pose[:3].T
        matrix = np.stack([down, right, -forward, center, (lens.height, lens.width, lens.fx)], axis=1)
        rows.append([*matrix.ravel(), 1.0, 5.0])
    np.save(root / "poses_bounds.npy", np.array(rows))
    return root
