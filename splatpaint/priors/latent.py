"""Latent inpainting diffusion models of diffusers' layout behind the `Prior` protocol."""

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
from splatpaint.priors.text import TextEncoders, blank


@dataclass(frozen=True)
class PriorTraits:
    """What a denoiser was trained with that its diffusers folder has no field for; ours keep it in `splatpaint.json`."""

    fill: Fill = "gray"
    """What stands in the holes of the pictures that condition it."""
    residual: bool = False
    """It denoises the difference to the conditioning latents instead of the latents."""
    native_px: int = 512
    """Side of its largest training pictures."""
    smallest_px: int | None = None
    """Side of its smallest; None = they were all of one size."""
    summary: bool = False
    """Its cross-attention reads `summary_token` in place of text."""
    zero_noise_input: bool = False
    """Where there is nothing but noise it is shown none: what it says there is the mean of all fills, and a network that was
    trained for hours answers to chance patterns of the noise with spots."""
    max_steps: int | None = None
    """A network that was trained for minutes knows the mean of all fills long before it knows how to sample one."""


@dataclass(frozen=True)
class Asked:
    """What a prior is asked for where a query does not say."""

    prompt: str = ""
    negative: str = ""
    """What shall not appear: takes the empty prompt's place in guidance by text."""
    guidance: float = 1.0
    """By text; 1 = none."""
    image_guidance: float = 1.0
    """By the known pixels; 1 = none."""


class LatentInpaintingPrior:
    """A U-Net that takes noisy latents, a latent mask and masked latents, over an autoencoder, with or without text.

    A residual denoiser works on `z - z_fill`. Subtracting `sqrt(a) z_fill` from a noisy latent gives the noisy residual with
    the same noise, so the rest of the world need not know.
    """

    def __init__(
        self,
        unet: Network,
        codec: DiffusersCodec,
        noise: NoiseSchedule,
        prediction: Prediction,
        *,
        text: TextEncoders | None = None,
        habits: PriorTraits = PriorTraits(),
        asked: Asked = Asked(),
        sampler: Sampler = "ddim",
    ) -> None:
        self.unet, self.noise = unet, noise
        self.codec: Codec = codec
        self._device = codec.device
        self.native_px = habits.native_px
        self.smallest_px = habits.smallest_px or habits.native_px
        self.max_steps: int | None = habits.max_steps
        self._prediction: Prediction = prediction
        self._text, self._habits = text, habits
        self.sampler: Sampler = sampler
        self.prompt, self._asked = asked.prompt, asked

    @property
    def reads_text(self) -> bool:
        """Whether prompts mean anything to it."""
        return self._text is not None

    @torch.no_grad()
    def condition(self, query: PriorQuery) -> Conditioning:
        """Latent mask, latents of the filled pictures, and the query's prompt (or else the prior's own).

        Pictures and holes must have sides that are multiples of the codec's stride.
        """
        count, _, height, width = query.images.shape
        images, holes = query.images.to(self._device), query.holes.to(self._device)
        channels, blind = self._shown(images, holes, query.layout), None
        text, plain = self._token(channels, query.layout), None
        if self._text is not None:
            prompt = self.prompt if query.prompt is None else query.prompt
            text = self._text.encode(prompt, count, height, width)
            plain = self._text.nothing(self._asked.negative, count, height, width)
        if self._asked.image_guidance != 1.0:
            unseen = self._shown(images, torch.ones_like(holes), query.layout)
            blind = Conditioning(unseen, plain or self._token(unseen, query.layout))
        return Conditioning(channels, text, plain, blind)

    def _shown(self, images: Tensor, holes: Tensor, layout: Layout) -> Tensor:
        return masked_latents(self.codec, images, holes, self._habits.fill, layout)

    def _token(self, channels: Tensor, layout: Layout) -> TextEmbedding:
        wide = self.unet.config.cross_attention_dim
        return TextEmbedding(
            summary_token(channels, layout, wide) if self._habits.summary else blank(len(channels), wide, self._device)
        )

    def denoise(
        self, noisy: Float[Tensor, "v c hl wl"], t: Int[Tensor, " v"], given: Conditioning, *, guidance: float | None = None
    ) -> Denoised:
        """Clean latents and noise.

        With guidance, extrapolated from nothing known, over the known pixels without the prompt, to both (Brooks et al. 2023,
        InstructPix2Pix, eq. 3; with text alone, Ho & Salimans 2022, eq. 6).
        """
        by_text = self._asked.guidance if guidance is None else guidance
        full = plain = self._answer(noisy, t, given.channels, given.text)
        if given.unconditional is not None and (by_text != 1.0 or given.blind is not None):
            plain = self._answer(noisy, t, given.channels, given.unconditional)
            full = plain.towards(full, by_text)
        if given.blind is not None:
            blind = self._answer(noisy, t, given.blind.channels, given.blind.text)
            more = self._asked.image_guidance - 1.0
            full = Denoised(full.clean + more * (plain.clean - blind.clean), full.noise + more * (plain.noise - blind.noise))
        return full

    def _answer(self, noisy: Tensor, t: Tensor, channels: Tensor, text: TextEmbedding | None) -> Denoised:
        filled = channels[:, 1:] if self._habits.residual else torch.zeros_like(noisy)
        start = noisy - self.noise.signal(t) * filled
        output = self._network(self._visible(start, t), t, channels, text)
        found = split_prediction(output, start, t, self.noise, self._prediction)
        return Denoised(clean=found.clean + filled, noise=found.noise)

    def training_error(
        self,
        clean: Float[Tensor, "v c hl wl"],
        noise: Float[Tensor, "v c hl wl"],
        t: Int[Tensor, " v"],
        given: Conditioning,
        guess: Float[Tensor, "v c hl wl"] | None = None,
    ) -> tuple[Float[Tensor, "v 1 hl wl"], Float[Tensor, "v c hl wl"]]:
        """How far the network is, cell by cell, from what it should say of latents noised to level `t`: mean square.

        And the clean latents that it takes them for.

        Args:
            clean: what they should be taken for.
            noise: of unit variance.
            t: by picture.
            given: see `condition`.
            guess: what is noised in place of the clean latents: a sampler, too, has but guesses on its way.
        """
        filled = given.channels[:, 1:] if self._habits.residual else torch.zeros_like(clean)
        wanted = clean - filled
        noisy = self.noise.add_noise(wanted if guess is None else guess - filled, noise, t)
        output = self._network(self._visible(noisy, t), t, given.channels, given.text)
        if guess is not None:  # as noise upon the clean latents
            noise = (noisy - self.noise.signal(t) * wanted) / self.noise.spread(t)
        match self._prediction:
            case "v_prediction":
                target = velocity(wanted, noise, t, self.noise)
            case "epsilon":
                target = noise
            case "sample":
                target = wanted
        estimate = split_prediction(output, noisy, t, self.noise, self._prediction).clean + filled
        return (output - target).square().mean(dim=1, keepdim=True), estimate

    def _visible(self, noisy: Tensor, t: Tensor) -> Tensor:
        return torch.where(self.noise.signal(t) > 0, noisy, 0.0) if self._habits.zero_noise_input else noisy

    def _network(self, noisy: Tensor, t: Tensor, channels: Tensor, text: TextEmbedding | None) -> Tensor:
        assert text is not None, "condition() always gives cross-attention states"
        dtype = next(self.unet.parameters()).dtype
        added = None
        if text.pooled is not None and text.sizes is not None:
            added = {"text_embeds": text.pooled.to(dtype), "time_ids": text.sizes.to(dtype)}
        inputs = torch.cat([noisy, channels], dim=1).to(dtype)
        return self.unet(inputs, t, text.tokens.to(dtype), added_cond_kwargs=added).sample.float()
