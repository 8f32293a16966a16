"""The interface of priors: a codec and a conditional denoiser of its latents.

Score distillation, partial denoising, sampling and reference views are each written once over this interface.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.priors.canvas import Layout
from splatpaint.priors.noise import Denoised, NoiseSchedule

Sampler = Literal["ddim", "lcm"]
"""Deterministic steps (DDIM), or steps with new noise each, for latent consistency models (LCM)."""


@runtime_checkable
class Codec(Protocol):
    """An autoencoder: pictures to latents and back."""

    stride: int
    """Pixels per latent cell along each axis."""
    channels: int
    """Number of latent channels."""

    def encode(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v c hl wl"]:
        """Latents, scaled as the denoiser expects them; differentiable. h and w must be multiples of `stride`."""
        ...

    def decode(self, latents: Float[Tensor, "v c hl wl"]) -> Float[Tensor, "v 3 h w"]:
        """Pictures, sRGB, roughly in [0, 1] (not clamped); differentiable."""
        ...

    def features(self, images: Float[Tensor, "v 3 h w"]) -> list[Float[Tensor, "v _ _ _"]]:
        """Activations of the encoder, fine to coarse, for perceptual distances; differentiable."""
        ...


@dataclass(frozen=True, eq=False)
class PriorQuery:
    """Pictures with holes to be inpainted."""

    images: Float[Tensor, "v 3 h w"]
    """sRGB in [0, 1]; pixels inside the holes are ignored."""
    holes: Float[Tensor, "v 1 h w"]
    """1 = to be inpainted, 0 = known; no values between."""
    prompt: str | None = None
    """Prompt for priors that read text; None = the prior's own, "" = the empty prompt."""
    reference: "Reference | None" = None
    """Other views of the same places, for `crops.inpaint`, which joins them to the crops as pairs."""
    layout: Layout = "single"
    """Layout of the pictures, see `splatpaint.priors.canvas`."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Other views of the same places, roughly aligned with the pictures of the query."""

    images: Float[Tensor, "v 3 h w"]
    unknown: Float[Tensor, "v 1 h w"]
    """1 = pixel not known. A picture without known pixels is ignored."""


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """An encoded prompt."""

    tokens: Float[Tensor, "v tokens width"]
    """Cross-attention states."""
    pooled: Float[Tensor, "v p"] | None = None
    """One vector per prompt (SDXL)."""
    sizes: Float[Tensor, "v 6"] | None = None
    """Original size, crop corner, target size, each (height, width) in pixels (SDXL, sec. 2.2)."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Inputs of the denoiser besides the noisy latents. Made by `Prior.condition`, for the same prior only."""

    channels: Float[Tensor, "v ck hl wl"]
    """Channels after the noisy latents: the latent mask and the latents of the picture with filled holes."""
    text: TextEmbedding | None = None
    """The prompt."""
    unconditional: TextEmbedding | None = None
    """The empty (or the negative) prompt, for classifier-free guidance."""
    without_image: "Conditioning | None" = None
    """Conditioning without known pixels and without a prompt, for guidance by the known pixels."""


@runtime_checkable
class Prior(Protocol):
    """A conditional denoiser over a codec's latents."""

    codec: Codec
    noise: NoiseSchedule
    native_px: int
    """Side in pixels of the largest square training pictures; larger crops are reduced to it."""
    smallest_px: int
    """Side in pixels of the smallest square training pictures; crops between the two sizes are not resized."""
    sampler: Sampler
    """Sampler that the denoiser was trained for."""
    max_steps: int | None
    """Most denoiser calls per sample, beyond which samples of this prior get worse; None = no limit."""

    def condition(self, query: PriorQuery) -> Conditioning:
        """The conditioning of all denoising steps of the query."""
        ...

    def denoise(
        self,
        noisy: Float[Tensor, "v c hl wl"],
        t: Int[Tensor, " v"],
        given: Conditioning,
        *,
        guidance: float | None = None,
    ) -> Denoised:
        """Estimates of the clean latents and of the noise in `noisy`.

        Both are returned, so that callers need not divide by sqrt(alpha_bar), which is zero in pure noise.

        Args:
            noisy: latents at level `t`.
            t: noise level of each picture, an index into `noise.alpha_bar`.
            given: from this prior's `condition`, for the same pictures.
            guidance: classifier-free guidance scale; 1 = none, None = as configured. Ignored by priors that read no text.
        """
        ...
