"""Perceptual loss: feature distance between rendered and target holes, with the features of the prior's encoder.

Inpainted views of one place never agree pixel for pixel; a pixel loss against them averages them to blur (MALD-NeRF, table 3:
L1 in the mask is the worst ablation). Distances between unit-length feature vectors, as LPIPS takes them, forgive small
shifts, and the codec that a prior must have anyway provides the features, so no further weights are needed.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from splatpaint.image.feature_distance import cosine_feature_distance
from splatpaint.image.resample import working_size
from splatpaint.objectives.protocol import Step, TrainableProperties
from splatpaint.priors.protocol import Codec


@dataclass(frozen=True)
class PerceptualConfig:
    """Distance in codec features, over the holes."""

    kind: Literal["perceptual"] = "perceptual"
    weight: float = 0.1
    """Fills of the bundled prior are not blurred without this objective: it paints little that views could disagree on. With
    0.1 they lose 0.3 dB for 0.002 of LPIPS vgg (docs/decisions/013). A prior that paints much detail wants some."""
    side_px: int = 160
    """Larger pictures are compared at about the area of a square of this side: a small prior paints no finer than that."""


class Perceptual:
    """Feature distance between rendered and target holes.

    Features of a target are cached as long as the target exists: a round uses the same targets for hundreds of steps.
    """

    trains = TrainableProperties()

    def __init__(self, config: PerceptualConfig, codec: Codec) -> None:
        self.config = config
        self.codec = codec
        self._kept = WeakIdKeyDictionary()

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """The term `perceptual`: mean squared distance of unit feature vectors where a hole is, averaged over layers."""
        inside = step.holes * step.weight
        shown = step.rendered.color * inside + step.target * (1 - inside)
        height, width = working_size(
            shown.shape[2], shown.shape[3], side_px=self.config.side_px, multiple=self.codec.stride, enlarge=False
        )
        shown, inside = (_resized(image, height, width) for image in (shown, inside))
        wanted = self._wanted(step.target, height, width)
        total = shown.new_zeros(())
        for have, want in zip(self.codec.features(shown), wanted, strict=True):
            distance = cosine_feature_distance(have, want)
            # A feature cell counts if it has a hole pixel: thin holes must not vanish at coarse layers.
            where = F.adaptive_max_pool2d(inside, have.shape[2:])
            total = total + (distance * where).sum() / where.sum().clamp_min(1.0)
        return {"perceptual": self.config.weight * total / len(wanted)}

    @torch.no_grad()
    def _wanted(self, target: Tensor, height: int, width: int) -> list[Tensor]:
        """Unit feature vectors of the target, in half the memory."""
        if target not in self._kept:
            features = self.codec.features(_resized(target, height, width))
            self._kept[target] = [F.normalize(each, dim=1).half() for each in features]
        return self._kept[target]


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True, align_corners=False)
