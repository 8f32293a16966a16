"""The noise schedule of a diffusion model, the parametrizations of a network's output, and the DDIM step.

A noisy latent is `x_t = sqrt(a) x_0 + sqrt(1 - a) eps` with `a = alpha_bar[t]` (DDPM, eq. 4). The schedule may end at a = 0
exactly (zero terminal signal-to-noise ratio): this module divides by sqrt(a) only for networks that predict the noise.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]
"""A network's output: the noise eps, v = sqrt(a) eps - sqrt(1 - a) x_0 (Salimans & Ho 2022, sec. 4), or x_0."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The cumulative signal variance alpha_bar of every noise level."""

    alpha_bar: Float[Tensor, " t"]
    """In [0, 1], strictly falling; index 0 is the least noisy level. The last may be 0, which is pure noise."""

    def __post_init__(self) -> None:
        a = self.alpha_bar
        if a.ndim != 1 or len(a) < 2 or not bool((a[1:] < a[:-1]).all()) or a[0] > 1 or a[-1] < 0:
            raise ValueError("alpha_bar must fall from at most 1 to at least 0 over two or more levels")

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def signal(self, t: Int[Tensor, " v"]) -> Float[Tensor, "v 1 1 1"]:
        """sqrt(alpha_bar[t]), shaped to multiply latents."""
        return self.alpha_bar[t].sqrt()[:, None, None, None]

    def spread(self, t: Int[Tensor, " v"]) -> Float[Tensor, "v 1 1 1"]:
        """sqrt(1 - alpha_bar[t]), the noise's standard deviation, shaped to multiply latents."""
        return (1.0 - self.alpha_bar[t]).sqrt()[:, None, None, None]

    def add_noise(
        self, clean: Float[Tensor, "v c h w"], noise: Float[Tensor, "v c h w"], t: Int[Tensor, " v"]
    ) -> Float[Tensor, "v c h w"]:
        """The clean latents at noise level `t`."""
        return self.signal(t) * clean + self.spread(t) * noise

    def timesteps(self, steps: int, start: int | None = None) -> list[int]:
        """Evenly spaced noise levels from `start` down, at most `steps` of them; the default start is the noisiest level.

        The first is always `start` itself ("trailing" spacing: Lin et al. 2024, Common Diffusion Noise Schedules, sec. 3.3).

        Raises:
            ValueError: if `start` is no level, or `steps` is below 1.
        """
        start = len(self) - 1 if start is None else start
        if not 0 <= start < len(self):
            raise ValueError(f"noise level {start} is outside 0 to {len(self) - 1}")
        if steps < 1:
            raise ValueError(f"{steps} steps cannot reach a picture")
        steps = min(steps, start + 1)
        return [round((start + 1) * (steps - i) / steps) - 1 for i in range(steps)]


@dataclass(frozen=True, eq=False)
class Denoised:
    """A denoiser's estimates for a noisy latent, with `noisy = sqrt(a) clean + sqrt(1 - a) noise`."""

    clean: Float[Tensor, "v c h w"]
    """Expected clean latents. Finite also at alpha_bar = 0, unless the network predicts noise."""
    noise: Float[Tensor, "v c h w"]
    """Expected noise."""

    def lerp(self, other: "Denoised", scale: float) -> "Denoised":
        """Linear interpolation to another estimate: 0 = this one, 1 = the other, above 1 = extrapolated."""
        return Denoised(torch.lerp(self.clean, other.clean, scale), torch.lerp(self.noise, other.noise, scale))


def split_prediction(
    output: Float[Tensor, "v c h w"],
    noisy: Float[Tensor, "v c h w"],
    t: Int[Tensor, " v"],
    schedule: NoiseSchedule,
    prediction: Prediction,
) -> Denoised:
    """The clean latents and the noise by a network's output.

    Exact at both ends of the schedule for v-prediction; epsilon-prediction needs alpha_bar > 0, sample-prediction needs
    alpha_bar < 1.
    """
    signal, spread = schedule.signal(t), schedule.spread(t)
    match prediction:
        case "v_prediction":
            return Denoised(clean=signal * noisy - spread * output, noise=spread * noisy + signal * output)
        case "epsilon":
            return Denoised(clean=(noisy - spread * output) / signal, noise=output)
        case "sample":
            return Denoised(clean=output, noise=(noisy - signal * output) / spread)


def step_down(denoised: Denoised, t_next: Int[Tensor, " v"] | None, schedule: NoiseSchedule) -> Float[Tensor, "v c h w"]:
    """The deterministic DDIM step (Song et al. 2021, eq. 12, sigma = 0) to noise level `t_next`; None = to clean latents."""
    if t_next is None:
        return denoised.clean
    return schedule.add_noise(denoised.clean, denoised.noise, t_next)


def velocity(
    clean: Float[Tensor, "v c h w"], noise: Float[Tensor, "v c h w"], t: Int[Tensor, " v"], schedule: NoiseSchedule
) -> Float[Tensor, "v c h w"]:
    """The target of v-prediction: sqrt(a) noise - sqrt(1 - a) clean."""
    return schedule.signal(t) * noise - schedule.spread(t) * clean


def draw_levels(count: int, levels: int, pure_noise_share: float, generator: torch.Generator) -> Int[Tensor, " v"]:
    """Random noise levels: uniform, with an additional share of the last level, pure noise."""
    t = torch.randint(levels, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < pure_noise_share, levels - 1, t)
