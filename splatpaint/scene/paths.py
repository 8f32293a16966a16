"""Novel camera poses: interpolated, orbited and shifted."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.camera import Cameras
from splatpaint.scene.rotation import matrices_from_quats, quats_from_matrices


def between(one: Cameras, other: Cameras, share: float) -> Cameras:
    """Interpolation between two poses: linear in the center, spherical in the rotation.

    Args:
        one: a batch of one; its intrinsics are kept.
        other: a batch of one.
        share: 0 = pose of the first, 1 = pose of the second.
    """
    a, b = (camera.world_from_cam[:, :3, :3] for camera in (one, other))
    centers = torch.lerp(one.centers, other.centers, share)
    return posed(one, a @ _part_of(a.transpose(1, 2) @ b, share), centers)


def turned_about(camera: Cameras, point: Float[Tensor, " 3"], right_deg: float, up_deg: float) -> Cameras:
    """The camera rotated around a point, to its right and then up, in degrees."""
    axes = camera.world_from_cam[:, :3, :3]
    right, down = axes[0, :, 0], axes[0, :, 1]
    turn = _about(-down, math.radians(right_deg)) @ _about(-right, math.radians(up_deg))
    return posed(camera, turn[None] @ axes, point + (camera.centers - point) @ turn.T)


def shifted(camera: Cameras, offset: Float[Tensor, " 3"]) -> Cameras:
    """The camera moved by an offset in its own axes (right, down, forward), in world units."""
    axes = camera.world_from_cam[:, :3, :3]
    return posed(camera, axes, camera.centers + (axes @ offset[None, :, None])[..., 0])


def posed(camera: Cameras, axes: Float[Tensor, "1 3 3"], centers: Float[Tensor, "1 3"]) -> Cameras:
    """The camera with other axes (columns: right, down, forward in the world) and another center."""
    cam_from_world = torch.eye(4).to(axes)[None]
    cam_from_world[:, :3, :3] = axes.transpose(1, 2)
    cam_from_world[:, :3, 3:] = -axes.transpose(1, 2) @ centers[..., None]
    return replace(camera, cam_from_world=cam_from_world)


def _part_of(rotation: Float[Tensor, "1 3 3"], share: float) -> Float[Tensor, "1 3 3"]:
    """The rotation about the same axis by a share of its angle."""
    quat = quats_from_matrices(rotation)
    quat = torch.where(quat[:, :1] < 0, -quat, quat)  # the shorter way
    half = torch.acos(quat[:, :1].clamp(-1, 1))
    axis = torch.nn.functional.normalize(quat[:, 1:], dim=1)
    return matrices_from_quats(torch.cat([(share * half).cos(), (share * half).sin() * axis], dim=1))


def _about(axis: Float[Tensor, " 3"], angle: float) -> Float[Tensor, "3 3"]:
    quat = torch.cat([axis.new_tensor([math.cos(angle / 2)]), math.sin(angle / 2) * axis])
    return matrices_from_quats(quat[None])[0]
