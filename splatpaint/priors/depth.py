"""Depth where nobody saw it: what a monocular network makes of a picture, fitted to what is known around the hole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import PriorError
from splatpaint.priors.networks import Network, transformers

PATCH_PX = 14
"""Of the vision transformers below these networks: sides are multiples of it."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's sRGB in [0, 1]."""
REWEIGHTINGS = 10
"""Of the fit: enough for a straight line."""


@dataclass(frozen=True)
class DepthConfig:
    """What guesses depth inside holes."""

    name: str = "none"
    """none = disparity is continued smoothly from the hole's boundary; or a Depth Anything model, as a folder or a hub id."""
    side_px: int = 518
    """Pictures are reduced or enlarged to this short side."""


@runtime_checkable
class DepthPrior(Protocol):
    """Looks at single pictures."""

    def __call__(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 1 h w"]:
        """Disparity (inverse depth), each picture's up to a scale and a shift of its own."""
        ...


class DepthAnything:
    """Depth Anything 1 and 2 (Yang et al. 2024), relative or metric, in the transformers package's class."""

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
        found = self.network((small - mean) / std).predicted_depth[:, None].float()
        disparity = 1 / found.clamp_min(1e-3) if self._metric else found
        return F.interpolate(disparity, (height, width), mode="bilinear", align_corners=False)


def find_depth(config: DepthConfig) -> None:
    """Only a check, as far as one can tell without reading weights or asking a hub.

    Raises:
        PriorError: if a folder is named that holds no model, or something that is neither a folder nor a hub id.
    """
    folder = Path(config.name).expanduser()
    if config.name != "none" and not (folder / "config.json").exists() and (folder.is_dir() or config.name.count("/") != 1):
        raise PriorError(f"the depth model {config.name!r} is neither 'none', a folder with a config.json, nor a hub id")


def load_depth(config: DepthConfig, device: torch.device) -> DepthPrior | None:
    """The network; None if none is wanted.

    Raises:
        PriorError: if it is neither on this machine nor can be had, or is no Depth Anything model.
    """
    if config.name == "none":
        return None
    name = str(Path(config.name).expanduser()) if Path(config.name).expanduser().is_dir() else config.name
    try:
        network = transformers().DepthAnythingForDepthEstimation.from_pretrained(name)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PriorError(f"the depth model {config.name!r} cannot be loaded: {reason}") from error
    return DepthAnything(network.to(device), config.side_px)


def fitted_disparity(
    found: Float[Tensor, "1 1 h w"], known: Float[Tensor, "1 1 h w"], region: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 1 h w"]:
    """`scale * found + shift` that comes nearest to the known disparity, in mean absolute error, with a scale of at least 0.

    Nearest in disparity, since that is where a monocular network is affine (MiDaS, Ranftl et al. 2020, sec. 5), and absolutely,
    so that a strip of sky or of another thing in the region does not tilt the rest.

    Args:
        found: a monocular network's.
        known: disparity of the surroundings.
        region: 1 where that is to be believed; not empty.
    """
    # On the CPU, since GPUs have no solver for systems that may lack rank.
    x, y = (values[region > 0.5].double().cpu() for values in (found, known))
    design = torch.stack([x, torch.ones_like(x)], dim=1)
    weight = torch.ones_like(x)
    scale, shift = x.new_zeros(()), y.median()
    for _ in range(REWEIGHTINGS):
        solution = torch.linalg.lstsq(design * weight[:, None], (y * weight)[:, None], driver="gelsd").solution[:, 0]
        scale, shift = solution.unbind()
        if scale <= 0:
            scale, shift = x.new_zeros(()), y.median()
        # Iteratively reweighted least squares: dividing by the root of the error makes the sum of squares one of moduli.
        error = (scale * x + shift - y).abs()
        weight = error.clamp_min(1e-6 * float(y.abs().max())).rsqrt()
    return (float(scale) * found.double() + float(shift)).to(found)
