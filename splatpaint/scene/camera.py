"""Pinhole cameras: OpenCV axes (x right, y down, z forward), pixel centers at .5."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

REFERENCE_SIDE_PX = 480
"""Longer side of the images that lengths in pixels were chosen on."""


@dataclass(frozen=True, eq=False)
class Cameras:
    """A batch of pinhole cameras that share one image size.

    Indexing with an int or a slice gives a smaller batch; the leading axis is kept.
    """

    K: Float[Tensor, "v 3 3"]
    """Intrinsics in pixels."""
    cam_from_world: Float[Tensor, "v 4 4"]
    """Rigid transforms, translation in world units."""
    width: int
    height: int
    full_side_px: float | None = None
    """Longer side of the whole images, of which these are crops or which these extend; None: these are the whole images."""

    def __post_init__(self) -> None:
        if self.K.ndim != 3 or self.K.shape[1:] != (3, 3):
            raise ValueError(f"K has shape {tuple(self.K.shape)}, expected (v, 3, 3)")
        if self.cam_from_world.shape != (len(self.K), 4, 4):
            raise ValueError(f"cam_from_world has shape {tuple(self.cam_from_world.shape)}, expected ({len(self.K)}, 4, 4)")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"image size {self.width}x{self.height} is not positive")

    def __len__(self) -> int:
        return len(self.K)

    def __getitem__(self, index: int | slice | Tensor) -> "Cameras":
        if isinstance(index, int):
            index = slice(index, index + 1) if index != -1 else slice(-1, None)
        return replace(self, K=self.K[index], cam_from_world=self.cam_from_world[index])

    @property
    def world_from_cam(self) -> Float[Tensor, "v 4 4"]:
        """Camera-to-world transforms."""
        rotation = self.cam_from_world[:, :3, :3].transpose(1, 2)
        world_from_cam = torch.eye(4).to(self.cam_from_world).repeat(len(self), 1, 1)
        world_from_cam[:, :3, :3] = rotation
        world_from_cam[:, :3, 3:] = -rotation @ self.cam_from_world[:, :3, 3:]
        return world_from_cam

    @property
    def centers(self) -> Float[Tensor, "v 3"]:
        """Optical centers in world units."""
        return self.world_from_cam[:, :3, 3]

    def to(self, target: torch.device | torch.dtype | str) -> "Cameras":
        """The same cameras on another device or in another precision."""
        return replace(self, K=self.K.to(target), cam_from_world=self.cam_from_world.to(target))

    def px(self, length: int | float) -> float:
        """A length, given in pixels of an image 480 px long, in pixels of these images; never fewer than are given. Crops have
        the pixels of the whole image.

        So what is done to an image of 960 px is what is done to one of 480, at twice the size. Below 480 px lengths stay:
        windows of losses and steps of kernels have so many pixels at any size.
        """
        return length * max(1.0, self._full_side_px / REFERENCE_SIDE_PX)

    @property
    def _full_side_px(self) -> float:
        return float(max(self.width, self.height)) if self.full_side_px is None else self.full_side_px

    def resized(self, width: int, height: int) -> "Cameras":
        """The cameras with the same frustum and another image size."""
        scale = torch.tensor([width / self.width, height / self.height, 1.0]).to(self.K)
        full_side_px = None if self.full_side_px is None else self.full_side_px * max(width / self.width, height / self.height)
        return replace(self, K=self.K * scale[:, None], width=width, height=height, full_side_px=full_side_px)

    def cropped(self, left: int, top: int, width: int, height: int) -> "Cameras":
        """The cameras cropped to a pixel rectangle, which may extend beyond the frame."""
        K = self.K.clone()
        K[:, 0, 2] -= left
        K[:, 1, 2] -= top
        return replace(self, K=K, width=width, height=height, full_side_px=self._full_side_px)

    def project(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "v n 2"], Float[Tensor, "v n"]]:
        """Pixel coordinates and z-depths of world points; pixels are undefined where the depth is not positive."""
        in_cam = points @ self.cam_from_world[:, :3, :3].transpose(1, 2) + self.cam_from_world[:, None, :3, 3]
        depth = in_cam[..., 2]
        in_image = in_cam @ self.K.transpose(1, 2)
        tiny = torch.full_like(depth, 1e-12)
        return in_image[..., :2] / torch.where(depth.abs() > tiny, depth, tiny)[..., None], depth

    def find(
        self, points: Float[Tensor, "n 3"]
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Float[Tensor, " n"], Bool[Tensor, " n"]]:
        """Pixel row and column of points, z-depth, and whether they are in the frame; for a batch of one.

        Outside the frame, row and column are clamped to the frame, so that they can be used as indices.
        """
        pixels, depth = (part[0] for part in self.project(points))
        column, row = pixels.floor().long().unbind(-1)
        inside = (depth > 0) & (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        return row.clamp(0, self.height - 1), column.clamp(0, self.width - 1), depth, inside

    def unproject(self, depth: Float[Tensor, "v 1 h w"]) -> Float[Tensor, "v h w 3"]:
        """The world point at every pixel center, for the given z-depth."""
        rays = self.rays()
        in_cam = rays * depth[:, 0, :, :, None]
        world_from_cam = self.world_from_cam
        rotated = torch.einsum("vij,vhwj->vhwi", world_from_cam[:, :3, :3], in_cam)
        return rotated + world_from_cam[:, None, None, :3, 3]

    def unproject_where(self, depth: Float[Tensor, "1 1 h w"], where: Bool[Tensor, "1 1 h w"]) -> Float[Tensor, "n 3"]:
        """The world points of the pixels selected by `where`, in row-major order; for a batch of one."""
        row, column = torch.nonzero(where[0, 0], as_tuple=True)
        pixels = torch.stack([column + 0.5, row + 0.5, torch.ones_like(row)], dim=-1).to(self.K)
        in_cam = torch.einsum("ij,nj->ni", torch.linalg.inv(self.K)[0], pixels) * depth[where][:, None]
        world_from_cam = self.world_from_cam[0]
        return torch.einsum("ij,nj->ni", world_from_cam[:3, :3], in_cam) + world_from_cam[:3, 3]

    def rays(self) -> Float[Tensor, "v h w 3"]:
        """Directions through the pixel centers in camera axes, scaled to z = 1."""
        y, x = torch.meshgrid(
            torch.arange(self.height, device=self.K.device, dtype=self.K.dtype) + 0.5,
            torch.arange(self.width, device=self.K.device, dtype=self.K.dtype) + 0.5,
            indexing="ij",
        )
        pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        return torch.einsum("vij,hwj->vhwi", torch.linalg.inv(self.K), pixels)


def stack(cameras: Iterable[Cameras]) -> Cameras:
    """One batch of all the given cameras.

    Raises:
        ValueError: if there are none, or their image sizes differ.
    """
    batch = list(cameras)
    if not batch:
        raise ValueError("no cameras to stack")
    sizes = {(camera.width, camera.height) for camera in batch}
    if len(sizes) > 1:
        raise ValueError(f"cameras of different image sizes cannot be stacked: {sorted(sizes)}")
    return replace(
        batch[0],
        K=torch.cat([camera.K for camera in batch]),
        cam_from_world=torch.cat([camera.cam_from_world for camera in batch]),
    )


def look_at(eye: Float[Tensor, "v 3"], target: Float[Tensor, "v 3"], up: Float[Tensor, " 3"]) -> Float[Tensor, "v 4 4"]:
    """`cam_from_world` of cameras at `eye` that look at `target` with `up` (a world direction) towards the top of the image."""
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up.expand_as(forward)), dim=-1)
    down = torch.linalg.cross(forward, right)
    rotation = torch.stack([right, down, forward], dim=1)
    cam_from_world = torch.eye(4).to(eye).repeat(len(eye), 1, 1)
    cam_from_world[:, :3, :3] = rotation
    cam_from_world[:, :3, 3:] = -rotation @ eye[:, :, None]
    return cam_from_world
