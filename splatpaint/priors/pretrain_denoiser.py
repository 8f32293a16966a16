"""Training a small inpainting U-Net from scratch over a trained codec.

What works on a small budget: v-prediction on a schedule that ends in pure noise, many draws there (so that one step already
gives the conditional mean), and the membrane over the known pixels as conditioning. The network is shown, and predicts, the
*residual* on the membrane's latents: `x_t - sqrt(a) z_fill = sqrt(a) (z - z_fill) + sqrt(1 - a) eps`, so the noise is the same
noise, and a network that says nothing paints the membrane.
"""

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.events import Events, Progressed, Saved
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.conditioning import masked_latents
from splatpaint.priors.networks import Network, diffusers
from splatpaint.priors.noise import NoiseSchedule, velocity
from splatpaint.priors.photos import PhotoSet, random_crops
from splatpaint.priors.random_holes import random_holes
from splatpaint.priors.training import Training, diverged, draws

STAGE = "denoiser"
CACHE_STAGE = "latents"
CACHE_CHUNK = 16
"""Crops encoded at once."""


@dataclass(frozen=True)
class DenoiserTraining:
    """A `UNet2DConditionModel` with self-attention at its coarse levels and no text."""

    steps: int = 20000
    """Optimizer steps."""
    batch: int = 16
    """Pictures a step."""
    crop_px: int = 128
    """Side of the pictures; recorded as the size that the prior works best at."""
    learning_rate: float = 4e-4
    """AdamW's, at its highest; rises over the first steps and falls linearly to zero over the last third."""
    widths: tuple[int, ...] = (64, 96, 128, 128)
    """Channels at full, half, quarter, ... latent resolution."""
    attended: int = 2
    """How many of the coarsest levels attend to all their cells."""
    pure_noise_share: float = 0.3
    """Of the draws, at the last noise level, where the answer is the mean of all plausible fills."""
    known_weight: float = 0.1
    """Of the loss outside the holes, where there is nothing to learn but zero."""
    crops: int = 4000
    """Photo crops encoded once, before training."""
    holes_per_crop: int = 2
    """Different holes drawn into each of them."""
    precision: str = "bf16"
    """accelerate's mixed precision: no, bf16 or fp16. Weights stay float32."""
    seed: int = 0
    """Of the initial weights and of everything drawn."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Encoded crops and their holes, in half precision."""

    latents: Float[Tensor, "n c hl wl"]
    given: Float[Tensor, "n ck hl wl"]
    """Latent mask and latents of the filled crop."""

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """Random examples in single precision: latents, given."""
        index = torch.randint(len(self.latents), (count,), generator=generator)
        return self.latents[index].float().to(device), self.given[index].float().to(device)


def build_denoiser(config: DenoiserTraining, latent_channels: int) -> Network:
    """A fresh `UNet2DConditionModel` whose last layer is zero, so that it starts by painting the membrane.

    It has 2c + 1 input channels like every inpainting U-Net. Its cross-attention sees one zero token, since there is no text.
    """
    levels = len(config.widths)
    attends = [level >= levels - config.attended for level in range(levels)]
    model = diffusers().UNet2DConditionModel(
        in_channels=2 * latent_channels + 1,
        out_channels=latent_channels,
        block_out_channels=config.widths,
        layers_per_block=1,
        down_block_types=tuple("CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)),
        attention_head_dim=min(32, *config.widths),
        cross_attention_dim=16,
        norm_num_groups=min(16, *config.widths),
    )
    for parameter in model.conv_out.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def build_scheduler() -> Network:
    """The noise schedule in diffusers' own class: cosine, rescaled to end in pure noise (Lin et al. 2024, alg. 1)."""
    return diffusers().DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def cache_examples(
    config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, path: Path
) -> Generator[Progressed, None, Examples]:
    """Encodes crops with random holes, or reads those that an earlier run wrote to `path`."""
    if path.exists():
        stored = torch.load(path, weights_only=True)
        return Examples(stored["latents"], stored["given"])
    latents, given = [], []
    for done in range(0, config.crops, CACHE_CHUNK):
        rng = np.random.default_rng([config.seed, done])
        images = random_crops(photos.train, min(CACHE_CHUNK, config.crops - done), config.crop_px, rng).to(codec.device)
        with torch.no_grad():
            encoded = codec.encode(images)
            for _ in range(config.holes_per_crop):
                holes = random_holes(len(images), config.crop_px, config.crop_px, rng).to(codec.device)
                latents.append(encoded.half().cpu())
                given.append(masked_latents(codec, images, holes, "harmonic").half().cpu())
        yield Progressed(CACHE_STAGE, done + len(images), config.crops)
    examples = Examples(torch.cat(latents), torch.cat(given))
    partial = path.with_suffix(".partial")
    torch.save({"latents": examples.latents, "given": examples.given}, partial)
    partial.replace(path)
    return examples


def train_denoiser(config: DenoiserTraining, photos: PhotoSet, out: Path) -> Events[Path]:
    """Trains the U-Net over the codec in `out/vae` and saves `out/unet` and `out/scheduler`; continues from `out/denoiser.pt`.

    Raises:
        PriorError: if the loss is not a number.
    """
    torch.manual_seed(config.seed)
    model = build_denoiser(config, int(json.loads((out / "vae" / "config.json").read_text())["latent_channels"]))
    run = Training(model, config.learning_rate, config.steps, config.precision, out / "denoiser.pt")
    codec = DiffusersCodec.read(out / "vae", run.device)
    examples = yield from cache_examples(config, codec, photos, out / "latents.pt")
    scheduler = build_scheduler()
    noise = NoiseSchedule(scheduler.alphas_cumprod.to(run.device))
    for step in range(run.step, config.steps):
        _, generator = draws(config.seed, step)
        clean, given = examples.draw(config.batch, generator, run.device)
        t = draw_levels(config.batch, len(noise), config.pure_noise_share, generator).to(run.device)
        eps = torch.randn(clean.shape, generator=generator).to(run.device)
        with run.autocast():
            loss = denoising_loss(model, clean, given, t, eps, noise, config.known_weight)
        value = run.update(loss)
        if not np.isfinite(value):
            raise diverged(STAGE, step, config.learning_rate)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            run.save()
        yield Progressed(STAGE, run.step, config.steps, {"loss": value})
    run.averaged().save_pretrained(out / "unet")
    scheduler.save_pretrained(out / "scheduler")
    yield Saved(STAGE, "denoiser", out / "unet")
    return out / "unet"


def draw_levels(count: int, levels: int, pure_noise_share: float, generator: torch.Generator) -> Int[Tensor, " v"]:
    """Noise levels, uniform but for the share that is pure noise."""
    t = torch.randint(levels, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < pure_noise_share, levels - 1, t)


def denoising_loss(
    model: Network,
    clean: Float[Tensor, "v c hl wl"],
    given: Float[Tensor, "v ck hl wl"],
    t: Int[Tensor, " v"],
    eps: Float[Tensor, "v c hl wl"],
    noise: NoiseSchedule,
    known_weight: float,
) -> Tensor:
    """Squared error of the predicted velocity of the residual, in the holes above all."""
    residual = clean - given[:, 1:]
    noisy = noise.add_noise(residual, eps, t)
    token = clean.new_zeros(len(clean), 1, model.config.cross_attention_dim)
    output = model(torch.cat([noisy, given], dim=1), t, token).sample.float()
    error = F.mse_loss(output, velocity(residual, eps, t, noise), reduction="none").mean(dim=1, keepdim=True)
    weight = given[:, :1] + known_weight * (1 - given[:, :1])
    return (weight * error).sum() / weight.sum()
