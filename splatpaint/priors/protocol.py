"""A prior is one primitive: a conditional denoiser in a latent space.

Distillation, partial denoising, multi-step samples and in-context reference views are each written once over it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.priors.canvas import Layout
from splatpaint.priors.noise import Denoised, NoiseSchedule

Sampler = Literal["ddim", "lcm"]
"""Deterministic steps (DDIM), or each step noised anew, for models distilled to few steps (latent consistency models)."""


@runtime_checkable
class Codec(Protocol):
    """Pictures to latents and back."""

    stride: int
    """Pixels a latent cell, along each axis."""
    channels: int
    """Latent channels."""

    def encode(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v c hl wl"]:
        """Latents, scaled as the denoiser expects them; differentiable. h and w must be multiples of `stride`."""
        ...

    def decode(self, latents: Float[Tensor, "v c hl wl"]) -> Float[Tensor, "v 3 h w"]:
        """Pictures, sRGB, roughly in [0, 1] (not clamped); differentiable."""
        ...

    def features(self, images: Float[Tensor, "v 3 h w"]) -> list[Float[Tensor, "v _ _ _"]]:
        """Activations inside the encoder, coarse ones last: a perceptual space that needs no further weights."""
        ...


@dataclass(frozen=True, eq=False)
class PriorQuery:
    """Pictures with holes."""

    images: Float[Tensor, "v 3 h w"]
    """sRGB in [0, 1]; what lies inside the holes is not looked at."""
    holes: Float[Tensor, "v 1 h w"]
    """1 = to be painted, 0 = known; nothing between."""
    prompt: str | None = None
    """What shall appear, for priors that read text; None = what the prior was set up to be asked for, "" = nothing."""
    reference: "Reference | None" = None
    """What else shows the same place, for `crops.inpaint`, which makes pairs of it."""
    layout: Layout = "single"
    """Whether the pictures are canvases, see `splatpaint.priors.canvas`."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Other pictures of the same places, brought roughly into the frames of those that are to be painted."""

    images: Float[Tensor, "v 3 h w"]
    unknown: Float[Tensor, "v 1 h w"]
    """1 where they say nothing. A picture that says nothing anywhere is not looked at."""


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """A prompt as a denoiser reads it."""

    tokens: Float[Tensor, "v tokens width"]
    """Cross-attention states."""
    pooled: Float[Tensor, "v p"] | None = None
    """One vector a prompt (SDXL)."""
    sizes: Float[Tensor, "v 6"] | None = None
    """Original size, crop corner, target size, each (height, width) in pixels (SDXL, sec. 2.2)."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the denoiser is told besides the noisy latents. Made by `Prior.condition`, read by the same prior only."""

    channels: Float[Tensor, "v ck hl wl"]
    """Concatenated to the noisy latents: the latent mask and the latents of the masked (or cheaply filled) picture."""
    text: TextEmbedding | None = None
    """What shall appear."""
    unconditional: TextEmbedding | None = None
    """The empty (or the negative) prompt, for classifier-free guidance."""
    blind: "Conditioning | None" = None
    """What it is told of pictures of which nothing is known, without a prompt, for guidance by the known pixels."""


@runtime_checkable
class Prior(Protocol):
    """A conditional denoiser over a codec's latents."""

    codec: Codec
    noise: NoiseSchedule
    native_px: int
    """Side of the largest square pictures that the denoiser was trained on: larger crops are painted at about this size."""
    smallest_px: int
    """Side of the smallest; what lies between is painted at its own size."""
    sampler: Sampler
    """How to walk down with it."""
    max_steps: int | None
    """More denoiser calls than this make this prior's pictures worse, so samplers stop at it; None = the more the better."""

    def condition(self, query: PriorQuery) -> Conditioning:
        """Everything about the query that does not change from step to step."""
        ...

    def denoise(
        self,
        noisy: Float[Tensor, "v c hl wl"],
        t: Int[Tensor, " v"],
        given: Conditioning,
        *,
        guidance: float | None = None,
    ) -> Denoised:
        """The clean latents and the noise in `noisy` at noise level `t` (an index into `noise.alpha_bar`).

        Both, so that nobody has to divide by sqrt(alpha_bar): a v-prediction knows the clean latents even in pure noise.

        Args:
            noisy: latents at level `t`.
            t: one level a picture.
            given: from this prior's `condition`, for the same pictures.
            guidance: classifier-free guidance scale; 1 = none, None = as the prior was configured. Ignored without text.
        """
        ...
