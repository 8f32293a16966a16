"""Masked adversarial loss (MALD-NeRF, sec. 3.3): a discriminator distinguishes patches of target images from rendered patches.

Both kinds of patches are black outside the same mask. So the discriminator sees neither the seam around a hole nor the
differences between photos and renderings outside it. Losses are those of StyleGAN (non-saturating, R1). Patches of both kinds
get the same augmentation (DiffAugment, Zhao et al. 2020), because a discriminator overfits a few dozen images quickly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.image.region import Box
from splatpaint.objectives.protocol import Step, TrainableProperties
from splatpaint.priors.discriminator import PatchDiscriminator

TRIES = 8
"""Random positions tried for one patch; the one with the largest share of hole is used if none has enough."""


@dataclass(frozen=True)
class AdversarialConfig:
    """Settings of the discriminator, which is trained together with the splats."""

    kind: Literal["adversarial"] = "adversarial"
    weight: float = 0.3
    """Of the non-saturating loss, at its full height."""
    features: float = 1.0
    """Weight of the distance between mean activations of the discriminator, relative to `weight`."""
    start: float = 0.25
    """Share of the training at which the discriminator starts; the fill must have formed before."""
    ramp: float = 0.15
    """Share of the training over which the weight rises from zero."""
    patch_px: int = 64
    """Side of a patch; smaller crops are used whole."""
    patches: int = 4
    """Patches per step."""
    least_hole: float = 0.3
    """Share of a patch that must be hole, if the crop has such a position."""
    width: int = 32
    """Channels of the discriminator's first layer."""
    r1: float = 0.2
    """Weight of the squared gradient at real patches, halved (Mescheder et al. 2018, eq. 9; GANeRF's value)."""
    learning_rate: float = 1e-3
    """RMSprop's."""

    def __post_init__(self) -> None:
        if self.patch_px < 16 or self.patches < 1:
            raise ConfigError(f"{self.patches} patches of {self.patch_px} px: expected at least one of at least 16 px")


class Adversarial:
    """Makes patches of rendered holes hard to tell from patches of painted ones. Trains a discriminator beside the splats."""

    trains = TrainableProperties(fill=("color", "opacity"), boundary=())
    # A discriminator that may move splats makes relief of texture (RefFusion, sec. 4).

    def __init__(self, config: AdversarialConfig, device: torch.device, seed: int) -> None:
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminator = PatchDiscriminator(config.width, spectral=False).to(device)
        self.optimizer = torch.optim.RMSprop(self.discriminator.parameters(), lr=config.learning_rate)

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """The terms `adversarial` and `matching`, zero before `start`. Trains the discriminator by one step first."""
        strength = min(max((step.progress - self.config.start) / max(self.config.ramp, 1e-6), 0.0), 1.0)
        if strength == 0.0 or not bool((step.holes > 0.5).any()):
            nothing = step.rendered.color.new_zeros(())
            return {"adversarial": nothing, "matching": nothing}
        real, fake = self._patches(step)
        self._learn(real, fake.detach())
        self.discriminator.requires_grad_(False)
        logits, activations = self.discriminator(fake)
        with torch.no_grad():
            _, wanted = self.discriminator(real)
        self.discriminator.requires_grad_(True)
        distances = [
            (a.mean(dim=(0, 2, 3)) - b.mean(dim=(0, 2, 3))).abs().mean() for a, b in zip(activations, wanted, strict=True)
        ]
        weight = self.config.weight * strength
        return {
            "adversarial": weight * F.softplus(-logits).mean(),
            "matching": weight * self.config.features * torch.stack(distances).mean(),
        }

    def _learn(self, real: Tensor, fake: Tensor) -> None:
        """One step of the discriminator: softplus losses and R1."""
        real = real.detach().requires_grad_(True)
        logits = self.discriminator(real)[0]
        (slope,) = torch.autograd.grad(logits.mean(dim=(1, 2, 3)).sum(), real, create_graph=True)
        penalty = 0.5 * self.config.r1 * slope.square().sum(dim=(1, 2, 3)).mean()
        loss = F.softplus(-logits).mean() + F.softplus(self.discriminator(fake)[0]).mean() + penalty
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _patches(self, step: Step) -> tuple[Float[Tensor, "p 3 s s"], Float[Tensor, "p 3 s s"]]:
        """Target and rendered patches at the same positions, in [-1, 1], black outside the holes, with the same
        augmentation."""
        inside = (step.holes > 0.5).to(step.holes)
        shown = (torch.stack([step.target, step.rendered.color.clamp(0, 1)]) * 2 - 1) * inside - (1 - inside)
        real, fake = [], []
        for _ in range(self.config.patches):
            view, box = place_patch(inside, self.config.patch_px, self.config.least_hole, step.generator)
            one, other = augmented(box.crop(shown[:, view]), box.crop(inside[view]), step.generator)
            real.append(one)
            fake.append(other)
        return torch.stack(real), torch.stack(fake)

    def state(self) -> dict[str, Any]:
        """The state that `restore` needs."""
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a state returned by `state`."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])


def place_patch(inside: Float[Tensor, "v 1 h w"], side: int, least: float, generator: torch.Generator) -> tuple[int, Box]:
    """View and place of a random patch around a pixel of a hole, hole to at least that share if possible."""
    height, width = (min(side, extent) for extent in inside.shape[2:])
    pixels = torch.nonzero(inside[:, 0] > 0.5)
    best, share = (0, Box(0, 0, width, height)), -1.0
    for index in torch.randint(len(pixels), (TRIES,), generator=generator).tolist():
        view, row, column = pixels[index].tolist()
        top = min(max(row - height // 2, 0), inside.shape[2] - height)
        left = min(max(column - width // 2, 0), inside.shape[3] - width)
        box = Box(left, top, left + width, top + height)
        found = float(box.crop(inside[view]).mean())
        if found > share:
            best, share = (view, box), found
        if found >= least:
            break
    return best


def augmented(
    patches: Float[Tensor, "p 3 h w"], inside: Float[Tensor, "1 h w"], generator: torch.Generator
) -> Float[Tensor, "p 3 h w"]:
    """The patches changed in brightness and contrast where `inside`, and shifted by up to an eighth, all in the same way."""
    height, width = patches.shape[2:]
    draws = torch.rand(4, generator=generator).tolist()
    changed = torch.where(inside > 0, patches * (0.75 + 0.5 * draws[2]) + 0.5 * (draws[3] - 0.5), patches)
    down, right = (round((2 * draw - 1) * extent / 8) for draw, extent in zip(draws[:2], (height, width), strict=True))
    padding = (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0))
    top, left = max(-down, 0), max(-right, 0)
    return F.pad(changed, padding, value=-1.0)[..., top : top + height, left : left + width]
