"""How a photo's exposure and white balance change what the scene looks like."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.camera import Cameras

NEIGHBORS = 3
"""So many views say how the next one would be exposed."""


@dataclass(frozen=True)
class Exposure:
    """`photo = gain * scene + offset` channel by channel, in sRGB; by default the photo is as the scene."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def apply(self, scene: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        """The scene as the photo would show it."""
        return scene * _channels(self.gain, scene) + _channels(self.offset, scene)

    def undo(self, photo: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        """The photo as it would be if it were exposed like the scene."""
        return (photo - _channels(self.offset, photo)) / _channels(self.gain, photo)


def nearby_exposure(camera: Cameras, cameras: Sequence[Cameras], exposures: Sequence[Exposure]) -> Exposure:
    """What a view without a known exposure can be expected to have: that of its nearest neighbors, the nearer the more.

    Automatic exposure goes by what is in the frame, so views of nearly one pose have nearly one exposure. Near is as for
    matching: distance in units of the median distance, and angle between the optical axes in radians.

    Args:
        camera: a batch of one.
        cameras: of the views with known exposures, at least one.
        exposures: theirs.
    """
    centers, axes = torch.cat([each.centers for each in cameras]), torch.cat([_axis(each) for each in cameras])
    apart = torch.cdist(centers, centers).median().clamp_min(1e-12)
    cosines = (axes * _axis(camera)).sum(dim=1)
    cost = (centers - camera.centers).norm(dim=1) / apart + torch.arccos(cosines.clamp(-1, 1))
    nearest = cost.topk(min(NEIGHBORS, len(cost)), largest=False).indices
    weight = 1 / cost[nearest].clamp_min(1e-3)
    weight = weight / weight.sum()
    chosen = [exposures[index] for index in nearest.tolist()]
    gain = (torch.tensor([each.gain for each in chosen]).to(weight) * weight[:, None]).sum(dim=0)
    offset = (torch.tensor([each.offset for each in chosen]).to(weight) * weight[:, None]).sum(dim=0)
    return exposure_of(gain, offset)


def exposure_of(gain: Float[Tensor, " 3"], offset: Float[Tensor, " 3"]) -> Exposure:
    """From two tensors."""
    (r, g, b), (dr, dg, db) = gain.tolist(), offset.tolist()
    return Exposure((r, g, b), (dr, dg, db))


def _axis(camera: Cameras) -> Float[Tensor, "v 3"]:
    """The direction that a camera looks in."""
    return camera.cam_from_world[:, 2, :3]


def _channels(values: tuple[float, float, float], like: Tensor) -> Float[Tensor, "3 1 1"]:
    return torch.tensor(values).to(like)[:, None, None]
