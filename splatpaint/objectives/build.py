"""A list of configs to the objectives that they name: the same list in every fit."""

from collections.abc import Sequence

import torch

from splatpaint.errors import ConfigError
from splatpaint.objectives.adversarial import Adversarial, AdversarialConfig
from splatpaint.objectives.disparity import Disparity, DisparityConfig
from splatpaint.objectives.distill import Distill, DistillConfig
from splatpaint.objectives.perceptual import Perceptual, PerceptualConfig
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.objectives.protocol import Objective
from splatpaint.objectives.shape import Shape, ShapeConfig
from splatpaint.priors.protocol import Prior

ObjectiveConfig = PhotometricConfig | PerceptualConfig | ShapeConfig | AdversarialConfig | DistillConfig | DisparityConfig


def build_objectives(
    configs: Sequence[ObjectiveConfig], *, prior: Prior | None, device: torch.device, seed: int
) -> list[Objective]:
    """The objectives, in order.

    Args:
        configs: any number; two of a kind add up.
        prior: gives features and scores; None where there is none.
        device: where discriminators are.
        seed: of their weights.

    Raises:
        ConfigError: if one needs a prior and there is none.
    """
    return [_build(config, prior, device, seed) for config in configs]


def _build(config: ObjectiveConfig, prior: Prior | None, device: torch.device, seed: int) -> Objective:
    match config:
        case PhotometricConfig():
            return Photometric(config)
        case ShapeConfig():
            return Shape(config)
        case DisparityConfig():
            return Disparity(config)
        case AdversarialConfig():
            return Adversarial(config, device, seed)
        case PerceptualConfig() if prior is not None:
            return Perceptual(config, prior.codec)
        case DistillConfig() if prior is not None:
            return Distill(config, prior)
        case PerceptualConfig() | DistillConfig():
            raise ConfigError(
                f"objectives: {config.kind} needs a prior, and a reconstruction has none: move it to inpaint.objectives"
            )
