"""Latent inpainting diffusion models in diffusers' layout, behind the `Prior` protocol."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.priors.canvas import Layout
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.conditioning import Fill, masked_latents, summary_token
from splatpaint.priors.networks import Network
from splatpaint.priors.noise import Denoised, NoiseSchedule, Prediction, split_prediction, velocity
from splatpaint.priors.protocol import Codec, Conditioning, PriorQuery, Sampler, TextEmbedding
from splatpaint.priors.text import TextEncoders, zero_token


@dataclass(frozen=True)
class PriorTraits:
    """Properties of a denoiser that diffusers' configs have no field for; kept in `splatpaint.json` beside them."""

    fill: Fill = "gray"
    """Content of the holes in the conditioning pictures."""
    residual: bool = False
    """Whether it denoises the difference to the conditioning latents, instead of the latents."""
    native_px: int = 512
    """Side in pixels of its largest training pictures."""
    smallest_px: int | None = None
    """Side in pixels of its smallest training pictures; None = all had the same size."""
    summary: bool = False
    """Whether its cross-attention reads `summary_token` in place of text."""
    zero_noise_input: bool = False
    """Whether its input is zero in place of pure noise (alpha_bar = 0). Its estimate there is the mean of all fills, and after
    a short training patterns of the noise would cause spots."""
    max_steps: int | None = None
    """Most denoiser calls per sample; None = no limit. After a short training a network estimates the mean of all fills well,
    but samples of more steps get worse."""


@dataclass(frozen=True)
class Guidance:
    """Prompts and guidance scales, where a query or a call gives none."""

    prompt: str = ""
    negative: str = ""
    """Prompt that guidance extrapolates from, in place of the empty one."""
    text_scale: float = 1.0
    """Scale of guidance by the prompt; 1 = none."""
    image_scale: float = 1.0
    """Scale of guidance by the known pixels; 1 = none."""


class LatentInpaintingPrior:
    """An autoencoder and a U-Net whose inputs are noisy latents, a latent mask and masked latents, with or without text.

    A residual denoiser (`PriorTraits.residual`) works on `z - z_fill`. A noisy latent minus `sqrt(a) z_fill` is the noisy
    residual with the same noise, so the interface is that of any other denoiser.
    """

    def __init__(
        self,
        unet: Network,
        codec: DiffusersCodec,
        noise: NoiseSchedule,
        prediction: Prediction,
        *,
        text: TextEncoders | None = None,
        traits: PriorTraits = PriorTraits(),
        guidance: Guidance = Guidance(),
        sampler: Sampler = "ddim",
    ) -> None:
        self.unet, self.noise = unet, noise
        self.codec: Codec = codec
        self._device = codec.device
        self.native_px = traits.native_px
        self.smallest_px = traits.smallest_px or traits.native_px
        self.max_steps: int | None = traits.max_steps
        self._prediction: Prediction = prediction
        self._text, self._traits = text, traits
        self.sampler: Sampler = sampler
        self.prompt, self._guidance = guidance.prompt, guidance

    @property
    def reads_text(self) -> bool:
        """Whether it has text encoders."""
        return self._text is not None

    @torch.no_grad()
    def condition(self, query: PriorQuery) -> Conditioning:
        """Latent mask, latents of the filled pictures, and the embedded prompt of the query, or else of the prior.

        Sides of the pictures must be multiples of the codec's stride.
        """
        count, _, height, width = query.images.shape
        images, holes = query.images.to(self._device), query.holes.to(self._device)
        channels, without_image = self._masked_latents(images, holes, query.layout), None
        text, unconditional = self._summary(channels, query.layout), None
        if self._text is not None:
            prompt = self.prompt if query.prompt is None else query.prompt
            text = self._text.encode(prompt, count, height, width)
            unconditional = self._text.unconditional(self._guidance.negative, count, height, width)
        if self._guidance.image_scale != 1.0:
            all_hole = self._masked_latents(images, torch.ones_like(holes), query.layout)
            without_image = Conditioning(all_hole, unconditional or self._summary(all_hole, query.layout))
        return Conditioning(channels, text, unconditional, without_image)

    def _masked_latents(self, images: Tensor, holes: Tensor, layout: Layout) -> Tensor:
        return masked_latents(self.codec, images, holes, self._traits.fill, layout)

    def _summary(self, channels: Tensor, layout: Layout) -> TextEmbedding:
        """The cross-attention token of denoisers without text."""
        width = self.unet.config.cross_attention_dim
        if self._traits.summary:
            return TextEmbedding(summary_token(channels, layout, width))
        return TextEmbedding(zero_token(len(channels), width, self._device))

    def denoise(
        self, noisy: Float[Tensor, "v c hl wl"], t: Int[Tensor, " v"], given: Conditioning, *, guidance: float | None = None
    ) -> Denoised:
        """Estimates of the clean latents and of the noise, with guidance; see `Prior.denoise`.

        By the prompt: Ho & Salimans 2022, eq. 6. By prompt and known pixels: InstructPix2Pix, Brooks et al. 2023, eq. 3.
        """
        text_scale = self._guidance.text_scale if guidance is None else guidance
        result = without_text = self._denoise(noisy, t, given.channels, given.text)
        if given.unconditional is not None and (text_scale != 1.0 or given.without_image is not None):
            without_text = self._denoise(noisy, t, given.channels, given.unconditional)
            result = without_text.lerp(result, text_scale)
        if given.without_image is not None:
            without_image = self._denoise(noisy, t, given.without_image.channels, given.without_image.text)
            extra = self._guidance.image_scale - 1.0
            clean = result.clean + extra * (without_text.clean - without_image.clean)
            result = Denoised(clean, result.noise + extra * (without_text.noise - without_image.noise))
        return result

    def _denoise(self, noisy: Tensor, t: Tensor, channels: Tensor, text: TextEmbedding | None) -> Denoised:
        filled = channels[:, 1:] if self._traits.residual else torch.zeros_like(noisy)
        residual = noisy - self.noise.signal(t) * filled
        output = self._unet_output(self._unet_input(residual, t), t, channels, text)
        estimate = split_prediction(output, residual, t, self.noise, self._prediction)
        return Denoised(clean=estimate.clean + filled, noise=estimate.noise)

    def training_error(
        self,
        clean: Float[Tensor, "v c hl wl"],
        noise: Float[Tensor, "v c hl wl"],
        t: Int[Tensor, " v"],
        given: Conditioning,
        start: Float[Tensor, "v c hl wl"] | None = None,
    ) -> tuple[Float[Tensor, "v 1 hl wl"], Float[Tensor, "v c hl wl"]]:
        """The squared error of the network's output, mean over channels, and its estimate of the clean latents.

        Args:
            clean: the true clean latents.
            noise: of unit variance.
            t: noise level of each picture.
            given: from `condition`.
            start: latents to which the noise is added in place of the clean ones, as in later steps of a sampler.
        """
        filled = given.channels[:, 1:] if self._traits.residual else torch.zeros_like(clean)
        true = clean - filled
        noisy = self.noise.add_noise(true if start is None else start - filled, noise, t)
        output = self._unet_output(self._unet_input(noisy, t), t, given.channels, given.text)
        if start is not None:  # the noise that would make the true latents these noisy ones
            noise = (noisy - self.noise.signal(t) * true) / self.noise.spread(t)
        match self._prediction:
            case "v_prediction":
                target = velocity(true, noise, t, self.noise)
            case "epsilon":
                target = noise
            case "sample":
                target = true
        estimate = split_prediction(output, noisy, t, self.noise, self._prediction).clean + filled
        return (output - target).square().mean(dim=1, keepdim=True), estimate

    def _unet_input(self, noisy: Tensor, t: Tensor) -> Tensor:
        return torch.where(self.noise.signal(t) > 0, noisy, 0.0) if self._traits.zero_noise_input else noisy

    def _unet_output(self, noisy: Tensor, t: Tensor, channels: Tensor, text: TextEmbedding | None) -> Tensor:
        assert text is not None, "condition() always gives cross-attention states"
        dtype = next(self.unet.parameters()).dtype
        added = None
        if text.pooled is not None and text.sizes is not None:
            added = {"text_embeds": text.pooled.to(dtype), "time_ids": text.sizes.to(dtype)}
        inputs = torch.cat([noisy, channels], dim=1).to(dtype)
        return self.unet(inputs, t, text.tokens.to(dtype), added_cond_kwargs=added).sample.float()
