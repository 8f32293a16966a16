"""Exposure, white balance and local tone of photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.local_gain import spread_gain
from splatpaint.scene.camera import Cameras

NEIGHBORS = 3
"""Number of nearest views that are averaged."""


Grid = tuple[tuple[tuple[float, ...], ...], ...]
"""Channels, rows and columns of gains."""


@dataclass(frozen=True)
class Exposure:
    """`photo = local * (gain * scene + offset)` per channel, in sRGB; the identity by default."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    local: Grid = ()
    """Gains over the photo's frame, bilinear between the centers of a grid's cells; empty: one everywhere."""

    def apply(self, scene: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        """The scene's colors as the photo shows them."""
        exposed = scene * _channels(self.gain, scene) + _channels(self.offset, scene)
        return exposed * self._local(scene) if self.local else exposed

    def undo(self, photo: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        """The photo's colors as those of the scene."""
        exposed = photo / self._local(photo) if self.local else photo
        return (exposed - _channels(self.offset, photo)) / _channels(self.gain, photo)

    def _local(self, image: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        return spread_gain(torch.tensor(self.local).to(image)[None], *image.shape[-2:])


def nearby_exposure(camera: Cameras, cameras: Sequence[Cameras], exposures: Sequence[Exposure]) -> Exposure:
    """Estimated exposure of a view: mean over its nearest views, weighted by inverse pose distance.

    Automatic exposure depends on the content of the frame, so similar poses have similar exposures. Local tone depends on what
    is where in it, and is not carried over. The pose distance is the distance of the centers (in units of the median distance)
    plus the angle between the optical axes in radians.

    Args:
        camera: a batch of one.
        cameras: cameras of the views with known exposures, at least one.
        exposures: their exposures.
    """
    centers, axes = torch.cat([each.centers for each in cameras]), torch.cat([_axis(each) for each in cameras])
    typical_distance = torch.cdist(centers, centers).median().clamp_min(1e-12)
    cosines = (axes * _axis(camera)).sum(dim=1)
    cost = (centers - camera.centers).norm(dim=1) / typical_distance + torch.arccos(cosines.clamp(-1, 1))
    nearest = cost.topk(min(NEIGHBORS, len(cost)), largest=False).indices
    weight = 1 / cost[nearest].clamp_min(1e-3)
    weight = weight / weight.sum()
    chosen = [exposures[index] for index in nearest.tolist()]
    gain = (torch.tensor([each.gain for each in chosen]).to(weight) * weight[:, None]).sum(dim=0)
    offset = (torch.tensor([each.offset for each in chosen]).to(weight) * weight[:, None]).sum(dim=0)
    return exposure_of(gain, offset)


def exposure_of(gain: Float[Tensor, " 3"], offset: Float[Tensor, " 3"]) -> Exposure:
    """The exposure of a gain and an offset tensor."""
    (r, g, b), (dr, dg, db) = gain.tolist(), offset.tolist()
    return Exposure((r, g, b), (dr, dg, db))


def _axis(camera: Cameras) -> Float[Tensor, "v 3"]:
    """The viewing direction of each camera."""
    return camera.cam_from_world[:, 2, :3]


def _channels(values: tuple[float, float, float], like: Tensor) -> Float[Tensor, "3 1 1"]:
    return torch.tensor(values).to(like)[:, None, None]
