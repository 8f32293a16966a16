"""Training a small autoencoder from scratch: the latent space in which the bundled prior paints."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.events import Events, Measured, Progressed, Saved
from splatpaint.priors.networks import Network, diffusers
from splatpaint.priors.photos import PhotoSet, random_crops
from splatpaint.priors.training import Training, diverged, draws

STAGE = "codec"


@dataclass(frozen=True)
class CodecTraining:
    """A stride-4 `AutoencoderTiny`: a quarter of the side length keeps texture that a stride of 8 at four channels blurs."""

    steps: int = 4000
    """Optimizer steps."""
    batch: int = 16
    """Crops a step."""
    crop_px: int = 64
    """Side of a training crop; the network is convolutional, so it need not be the size that it will see."""
    learning_rate: float = 1e-3
    """Adam's, at its highest; rises over the first steps and falls linearly to zero over the last third."""
    width: int = 48
    """Channels of every inner layer (the class wants one width throughout)."""
    encoder_blocks: tuple[int, ...] = (0, 2, 3)
    """Residual blocks at full, half, quarter resolution: few at full, where a block costs most."""
    decoder_blocks: tuple[int, ...] = (3, 2, 1)
    """Residual blocks at quarter, half, full resolution."""
    latent_channels: int = 4
    """As in SD 1 and 2, so the denoiser has their nine input channels."""
    latent_noise: float = 0.05
    """Noise added to the latents while training, in their standard deviations: what a denoiser leaves must not show."""
    edge_weight: float = 1.0
    """Of the differences between neighboring pixels at three scales, beside the plain L1."""
    precision: str = "bf16"
    """accelerate's mixed precision: no, bf16 or fp16. Weights stay float32."""
    seed: int = 0
    """Of the initial weights and of everything drawn."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""


def build_codec(config: CodecTraining) -> Network:
    """A fresh `AutoencoderTiny`."""
    width = config.width
    return diffusers().AutoencoderTiny(
        latent_channels=config.latent_channels,
        encoder_block_out_channels=(width,) * len(config.encoder_blocks),
        decoder_block_out_channels=(width,) * len(config.decoder_blocks),
        num_encoder_blocks=config.encoder_blocks,
        num_decoder_blocks=config.decoder_blocks,
    )


def train_codec(config: CodecTraining, photos: PhotoSet, out: Path) -> Events[Path]:
    """Trains the codec and saves it as a diffusers folder `out/vae`; continues from `out/codec.pt` if that exists.

    The saved `scaling_factor` brings the latents of the training photos to unit standard deviation.

    Raises:
        PriorError: if the loss is not a number.
    """
    torch.manual_seed(config.seed)
    model = build_codec(config).to(memory_format=torch.channels_last)
    run = Training(model, config.learning_rate, config.steps, config.precision, out / "codec.pt")
    for step in range(run.step, config.steps):
        rng, generator = draws(config.seed, step)
        images = random_crops(photos.train, config.batch, config.crop_px, rng).to(run.device)
        with run.autocast():
            loss = reconstruction_loss(model, images, config, generator)
        value = run.update(loss)
        if not np.isfinite(value):
            raise diverged(STAGE, step, config.learning_rate)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            run.save()
        yield Progressed(STAGE, run.step, config.steps, {"loss": value})
    best = run.averaged()
    crops = random_crops(photos.train, 64, 128, np.random.default_rng(config.seed)).to(run.device)
    with torch.no_grad():
        scale = 1.0 / float(best.encode(crops * 2 - 1).latents.std())
    best.register_to_config(scaling_factor=scale)
    best.scaling_factor = scale
    folder = out / "vae"
    best.save_pretrained(folder)
    yield Measured(STAGE, {"psnr_test": round_trip_psnr(best, photos, config.seed), "scaling_factor": scale})
    yield Saved(STAGE, "codec", folder)
    return folder


def reconstruction_loss(
    model: Network, images: Float[Tensor, "v 3 h w"], config: CodecTraining, generator: torch.Generator
) -> Tensor:
    """L1 of pixels and of their differences at three scales, after a round trip through slightly noisy latents."""
    latents = model.encode(images * 2 - 1).latents
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    noisy = latents + noise * config.latent_noise * latents.detach().std()
    restored = (model.decode(noisy).sample.float() + 1) / 2
    loss = F.l1_loss(restored, images) + F.mse_loss(restored, images)
    for _ in range(3):
        for axis in (2, 3):
            loss = loss + config.edge_weight / 3 * F.l1_loss(restored.diff(dim=axis), images.diff(dim=axis))
        restored, images = F.avg_pool2d(restored, 2), F.avg_pool2d(images, 2)
    return loss


@torch.no_grad()
def round_trip_psnr(model: Network, photos: PhotoSet, seed: int) -> float:
    """Decibels between 64 held-out crops of 128 px and their decoded latents."""
    device = next(model.parameters()).device
    images = random_crops(photos.test, 64, 128, np.random.default_rng(seed)).to(device)
    restored = (model.decode(model.encode(images * 2 - 1).latents).sample / 2 + 0.5).clamp(0, 1)
    return -10 * float(torch.log10(F.mse_loss(restored, images)))
