"""A prior with a denoiser in closed form: pixels are distributed as N(mu, s^2), and pictures are their own latents."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.priors.noise import Denoised, NoiseSchedule
from splatpaint.priors.protocol import Codec, Conditioning, PriorQuery, Sampler


def zero_snr_cosine(levels: int = 1000) -> NoiseSchedule:
    """The cosine schedule without offset (Nichol & Dhariwal 2021, eq. 17), from nearly no noise to pure noise."""
    alpha_bar = torch.cos(torch.arange(1, levels + 1, dtype=torch.float64) / levels * torch.pi / 2) ** 2
    alpha_bar[-1] = 0.0
    return NoiseSchedule(alpha_bar.float())


class IdentityCodec:
    """Pictures that are their own latents."""

    stride = 1
    channels = 3

    def encode(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        """The pictures."""
        return images

    def decode(self, latents: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        """The latents."""
        return latents

    def features(self, images: Float[Tensor, "v 3 h w"]) -> list[Float[Tensor, "v 3 h w"]]:
        """The pictures, as the only layer."""
        return [images]


class GaussianPrior:
    """The exact denoiser of N(mu, s^2 I), for tests of samplers and guidance.

    With a = alpha_bar[t], a noisy latent is distributed as N(sqrt(a) mu, (a s^2 + 1 - a) I), and the expected noise and clean
    latents follow by conditioning a joint normal.
    """

    def __init__(self, mu: Float[Tensor, "..."], s: float, noise: NoiseSchedule | None = None) -> None:
        self.mu, self.s = mu, s
        self.codec: Codec = IdentityCodec()
        self.noise = noise or zero_snr_cosine()
        self.native_px = self.smallest_px = 64
        self.sampler: Sampler = "ddim"
        self.max_steps: int | None = None

    def condition(self, query: PriorQuery) -> Conditioning:
        """Nothing but the mask: the distribution does not depend on the known pixels."""
        return Conditioning(channels=query.holes)

    def denoise(
        self,
        noisy: Float[Tensor, "v c h w"],
        t: Int[Tensor, " v"],
        given: Conditioning,  # noqa: ARG002 (the protocol's)
        *,
        guidance: float | None = None,  # noqa: ARG002
    ) -> Denoised:
        """Posterior means of the clean latents and of the noise."""
        signal, spread = self.noise.signal(t), self.noise.spread(t)
        scaled = (noisy - signal * self.mu) / (signal**2 * self.s**2 + spread**2)
        return Denoised(clean=self.mu + signal * self.s**2 * scaled, noise=spread * scaled)
