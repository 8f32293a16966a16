"""Training a small autoencoder in a teacher's latent space, such as Stable Diffusion's.

The encoder learns the teacher's latents, the decoder to undo them; so latents, linear previews and denoisers carry over between
the two. Nothing of the teacher is in the result but what its outputs taught.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import PriorError
from splatpaint.events import Events, Measured, Noted, Progressed, Saved
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.critic import discriminator_loss, generator_loss, init_discriminator
from splatpaint.priors.decoded_loss import feature_distances
from splatpaint.priors.networks import Network, diffusers
from splatpaint.priors.photos import PhotoSet, random_crops
from splatpaint.priors.teacher import read_codec
from splatpaint.priors.training import CURVE_FILE, Training, diverged, draws

STAGE = "codec"
SCALES = 3
"""At which differences between neighboring pixels are compared."""
TEST_CROPS = 64
TEST_PX = 256


@dataclass(frozen=True)
class CodecTraining:
    """An `AutoencoderTiny` of stride 8 with the latent channels of its teacher."""

    steps: int = 2400
    """Optimizer steps."""
    batch: int = 8
    """Crops a step."""
    crop_px: int = 128
    """Side of a training crop: larger than what an encoder's cell sees (about 100 px), or it learns how borders look."""
    learning_rate: float = 1e-3
    """Adam's, at its highest; rises over the first steps and falls linearly to zero over the last third."""
    width: int = 64
    """Channels of every inner layer (the class wants one width throughout)."""
    encoder_blocks: tuple[int, ...] = (0, 2, 4, 4)
    """Residual blocks at full, half, quarter, eighth resolution: few at full, where a block costs most."""
    decoder_blocks: tuple[int, ...] = (4, 4, 3, 0)
    """Residual blocks at eighth, quarter, half, full resolution."""
    latent_noise: float = 0.05
    """Noise added to the latents that are decoded, in their standard deviations: what a denoiser leaves must not show."""
    latent_weight: float = 1.0
    """Of the squared distance to the teacher's latents."""
    edge_weight: float = 1.0
    """Of the differences between neighboring pixels at three scales, beside the plain L1."""
    feature_weight: float = 0.5
    """Of the distance in the features of the teacher's encoder: pixels alone forgive blur."""
    critic_weight: float = 0.0
    """Of a patch critic's verdict; 0 = none. A codec that is already good gets sharp by it, another one breaks."""
    critic_rate: float = 2e-4
    """The critic's learning rate."""
    init: str | None = None
    """Folder of a codec of the same shape to start from; None = from scratch."""
    precision: Literal["no", "bf16"] = "bf16"
    """accelerate's mixed precision. Weights stay float32."""
    seed: int = 0
    """Of the initial weights and of everything drawn."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""


def build_codec(config: CodecTraining, teacher: DiffusersCodec) -> Network:
    """A fresh `AutoencoderTiny` with the teacher's latent channels; its latents are scaled as a denoiser expects them."""
    width = config.width
    return diffusers().AutoencoderTiny(
        latent_channels=teacher.channels,
        encoder_block_out_channels=(width,) * len(config.encoder_blocks),
        decoder_block_out_channels=(width,) * len(config.decoder_blocks),
        num_encoder_blocks=config.encoder_blocks,
        num_decoder_blocks=config.decoder_blocks,
    )


def distill_codec(config: CodecTraining, teacher: DiffusersCodec, photos: PhotoSet, work: Path, out: Path) -> Events[Path]:
    """Trains the codec and saves it as the diffusers folder `out`; continues from `work/codec.pt` if that exists.

    The losses by step are left beside `work`.

    Raises:
        PriorError: if the codec would have another stride than its teacher, or the loss is not a number.
    """
    if (stride := 2 ** (len(config.encoder_blocks) - 1)) != teacher.stride:
        raise PriorError(f"the codec would have stride {stride}, its teacher has {teacher.stride}: change encoder_blocks")
    torch.manual_seed(config.seed)
    model = begun_codec(config, teacher).to(memory_format=torch.channels_last)
    run = Training(model, config.learning_rate, config.steps, config.precision, work / "codec.pt")
    critic = None
    if config.critic_weight > 0:
        critic = init_discriminator(config.critic_rate, config.steps, config.precision, run)
    teacher.vae.to(run.device)
    for step in range(run.step, config.steps):
        rng, generator = draws(config.seed, step)
        images = random_crops(photos.train, config.batch, config.crop_px, rng).to(run.device)
        with run.autocast():
            losses, restored = distillation_losses(model, teacher, images, config, generator)
            if critic is not None:
                losses["critic"] = config.critic_weight * generator_loss(critic.model, restored)
        value = run.update(torch.stack(list(losses.values())).sum())
        if critic is not None:
            with critic.autocast():
                verdict = discriminator_loss(critic.model, images, restored)
            critic.update(verdict)
        if not np.isfinite(value):
            raise diverged(STAGE, step, config.learning_rate)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            run.save(beside=critic)
        yield Progressed(STAGE, run.step, config.steps, {name: float(loss.detach()) for name, loss in losses.items()})
    run.write_curve(work.parent / CURVE_FILE)
    student = DiffusersCodec(run.averaged(), tiny=True)
    run.averaged().save_pretrained(out)
    scores = {"psnr_test": round_trip_psnr(student, photos), "psnr_test_teacher": round_trip_psnr(teacher, photos)}
    yield Noted(STAGE, f"round trip of {TEST_CROPS} held-out crops of {TEST_PX} px, beside the teacher's")
    yield Measured(STAGE, scores)
    yield Saved(STAGE, "codec", out)
    return out


def begun_codec(config: CodecTraining, teacher: DiffusersCodec) -> Network:
    """What the training starts from.

    Raises:
        PriorError: if that codec has another shape.
    """
    fresh = build_codec(config, teacher)
    if config.init is not None:
        try:
            fresh.load_state_dict(read_codec(Path(config.init), torch.device("cpu")).vae.state_dict())
        except RuntimeError as error:
            raise PriorError(f"the codec in {config.init} has another shape than the one to be trained") from error
    return fresh


def distillation_losses(
    model: Network,
    teacher: DiffusersCodec,
    images: Float[Tensor, "v 3 h w"],
    config: CodecTraining,
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], Float[Tensor, "v 3 h w"]]:
    """The weighted terms, and the pictures: latents like the teacher's, and from the teacher's, a little noisy, the pictures.

    Never from the student's own: they lack what it has not learned yet, and a decoder that makes up for that exaggerates what
    is complete.
    """
    with torch.no_grad():
        wanted = teacher.encode(images)
    latents = model.encode(images * 2 - 1).latents
    noise = torch.randn(wanted.shape, generator=generator).to(wanted)
    restored = model.decode(wanted + noise * config.latent_noise * wanted.std()).sample / 2 + 0.5
    losses = {
        "latent": config.latent_weight * F.mse_loss(latents.float(), wanted.float()),
        "pixel": pixel_distance(restored.float(), images, config.edge_weight),
    }
    if config.feature_weight > 0:
        with torch.no_grad():
            features = teacher.features(images)
        losses["feature"] = config.feature_weight * feature_distance(teacher.features(restored), features)
    return losses, restored


def pixel_distance(a: Float[Tensor, "v 3 h w"], b: Float[Tensor, "v 3 h w"], edge_weight: float) -> Tensor:
    """L1 and squared error of the pixels, and L1 of their differences to their neighbors at three scales."""
    loss = F.l1_loss(a, b) + F.mse_loss(a, b)
    for _ in range(SCALES):
        for axis in (2, 3):
            loss = loss + edge_weight / SCALES * F.l1_loss(a.diff(dim=axis), b.diff(dim=axis))
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return loss


def feature_distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Mean squared distance of unit-length feature vectors, averaged over layers."""
    return torch.stack([layer.mean() for layer in feature_distances(a, b)]).mean()


@torch.no_grad()
def round_trip_psnr(codec: DiffusersCodec, photos: PhotoSet) -> float:
    """Decibels between held-out crops and their decoded latents, mean over crops."""
    images = random_crops(photos.test, TEST_CROPS, TEST_PX, np.random.default_rng(0))
    errors = []
    for image in images.split(1):
        image = image.to(codec.device)
        errors.append((codec.decode(codec.encode(image)).clamp(0, 1) - image).square().mean())
    return float(-10 * torch.stack(errors).log10().mean())
