"""Monocular depth for holes: the disparity that a network estimates, fitted to the known disparity around the hole."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.config import check_least
from splatpaint.errors import PriorError
from splatpaint.priors.networks import HUB_ID, Network, from_folder, transformers
from splatpaint.reading import UnreadableError, expanded, understanding

PATCH_PX = 14
"""Patch side of the vision transformers in these networks; picture sides are multiples of it."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet pictures, sRGB in [0, 1]."""
REWEIGHTINGS = 10
"""Iterations of the reweighted least squares fit; two parameters converge in fewer."""


@dataclass(frozen=True)
class DepthConfig:
    """The monocular depth network for holes."""

    name: str = "none"
    """none = disparity is interpolated smoothly from the hole's boundary; else a Depth Anything model, a folder or a hub id."""
    side_px: int = 518
    """Short side in pixels to which pictures are resized for the network."""

    def __post_init__(self) -> None:
        check_least(self, 1, "side_px")


@runtime_checkable
class DepthPrior(Protocol):
    """A monocular depth network."""

    def __call__(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 1 h w"]:
        """Disparity (inverse depth) of each picture, up to an unknown scale and shift."""
        ...


class DepthAnything:
    """Depth Anything 1 and 2 (Yang et al. 2024), relative or metric, by the transformers package."""

    def __init__(self, network: Network, side_px: int) -> None:
        self.network = network.eval().requires_grad_(False)
        self._side, self._metric = side_px, network.config.depth_estimation_type == "metric"

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 1 h w"]:
        """See `DepthPrior`."""
        height, width = images.shape[2:]
        scale = self._side / min(height, width)
        shape = [max(1, round(extent * scale / PATCH_PX)) * PATCH_PX for extent in (height, width)]
        mean, std = (torch.tensor(values).to(images)[:, None, None] for values in (MEAN, STD))
        small = F.interpolate(images, shape, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        output = self.network((small - mean) / std).predicted_depth[:, None].float()
        disparity = 1 / output.clamp_min(1e-3) if self._metric else output
        return F.interpolate(disparity, (height, width), mode="bilinear", align_corners=False)


def find_depth(config: DepthConfig) -> None:
    """Checks that the model can exist, without reading weights or asking the hub.

    Raises:
        PriorError: if the name is a folder without a model, or neither a folder nor a hub id.
    """
    folder = expanded(config.name)
    is_hub_id = HUB_ID.fullmatch(config.name) and not folder.is_dir()
    if config.name != "none" and not (folder / "config.json").exists() and not is_hub_id:
        raise PriorError(f"the depth model {config.name!r} is neither 'none', a folder with a config.json, nor a hub id")


def load_depth(config: DepthConfig, device: torch.device) -> DepthPrior | None:
    """The network on the device; None if the config names none.

    Raises:
        PriorError: if it is neither on this machine nor can be downloaded, or is no Depth Anything model.
    """
    if config.name == "none":
        return None
    kind = transformers().DepthAnythingForDepthEstimation
    if expanded(config.name).is_dir():
        return DepthAnything(from_folder(kind, expanded(config.name)).to(device), config.side_px)
    try:
        with understanding():
            network = kind.from_pretrained(config.name)
    except UnreadableError as error:
        raise PriorError(f"the depth model {config.name!r} cannot be loaded ({error})") from error
    return DepthAnything(network.to(device), config.side_px)


def fitted_disparity(
    estimate: Float[Tensor, "1 1 h w"], known: Float[Tensor, "1 1 h w"], region: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 1 h w"]:
    """`scale * estimate + shift` with the least mean absolute error to the known disparity, scale >= 0.

    Monocular networks are affine in disparity (MiDaS, Ranftl et al. 2020, sec. 5). The absolute error is robust against pixels
    of sky or of another object in the region.

    Args:
        estimate: disparity by a monocular network.
        known: disparity of the scene.
        region: 1 = the known disparity is fitted; not empty.
    """
    # On the CPU: torch has no GPU solver for rank-deficient least squares.
    x, y = (values[region > 0.5].double().cpu() for values in (estimate, known))
    design = torch.stack([x, torch.ones_like(x)], dim=1)
    weight = torch.ones_like(x)
    scale, shift = x.new_zeros(()), y.median()
    for _ in range(REWEIGHTINGS):
        solution = torch.linalg.lstsq(design * weight[:, None], (y * weight)[:, None], driver="gelsd").solution[:, 0]
        scale, shift = solution.unbind()
        if scale <= 0:
            scale, shift = x.new_zeros(()), y.median()
        # Iteratively reweighted least squares: squares divided by the error are absolute errors.
        error = (scale * x + shift - y).abs()
        weight = error.clamp_min(1e-6 * float(y.abs().max())).rsqrt()
    return (float(scale) * estimate.double() + float(shift)).to(estimate)
