"""Trains a small autoencoder in the latent space of a teacher, such as Stable Diffusion's.

The encoder learns the teacher's latents, and the decoder learns to invert them. So denoisers and linear previews of the
teacher's latents also work with the new codec. No weights are copied from the teacher.
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
from splatpaint.priors.decoded_loss import feature_distances
from splatpaint.priors.discriminator import discriminator_loss, generator_loss, init_discriminator
from splatpaint.priors.networks import Network, diffusers
from splatpaint.priors.photos import PhotoSet, random_crops
from splatpaint.priors.teacher import read_codec
from splatpaint.priors.training import CURVE_FILE, Training, diverged, step_generators
from splatpaint.streams import check_seed

STAGE = "codec"
SCALES = 3
"""Number of scales at which differences of neighboring pixels are compared."""
TEST_CROPS = 64
"""Held-out crops of the final measurement."""
TEST_PX = 256
"""Side of those crops in pixels."""


@dataclass(frozen=True)
class CodecTraining:
    """Settings of the training of an `AutoencoderTiny` with the stride and latent channels of its teacher."""

    steps: int = 2400
    """Optimizer steps."""
    batch: int = 8
    """Crops per step."""
    crop_px: int = 128
    """Side of a training crop in pixels: larger than the encoder's receptive field (about 100 px), since borders differ."""
    learning_rate: float = 1e-3
    """Highest learning rate of AdamW; rises over the first steps and falls linearly to zero over the last third."""
    width: int = 64
    """Channels of all inner layers (the class has one width)."""
    encoder_blocks: tuple[int, ...] = (0, 2, 4, 4)
    """Residual blocks at full, half, quarter and eighth resolution; few at full, where a block costs most."""
    decoder_blocks: tuple[int, ...] = (4, 4, 3, 0)
    """Residual blocks at eighth, quarter, half and full resolution."""
    latent_noise: float = 0.05
    """Noise added to latents before decoding, in units of their standard deviation, as a denoiser leaves some."""
    latent_weight: float = 1.0
    """Weight of the squared distance to the teacher's latents."""
    edge_weight: float = 1.0
    """Weight of the L1 distance of differences between neighboring pixels at three scales; that of the pixels is 1."""
    feature_weight: float = 0.5
    """Weight of the distance in features of the teacher's encoder; pixel distances penalize blur little."""
    critic_weight: float = 0.0
    """Weight of the adversarial loss; 0 = none. It sharpens a trained codec (see `init`), but not one from scratch."""
    critic_rate: float = 2e-4
    """Learning rate of the discriminator."""
    init: str | None = None
    """Folder of a codec of the same shape to start from; None = random weights."""
    precision: Literal["no", "bf16"] = "bf16"
    """Mixed precision of accelerate; weights stay float32."""
    seed: int = 0
    """Seed of the initial weights and of all random draws."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


def build_codec(config: CodecTraining, teacher: DiffusersCodec) -> Network:
    """An untrained `AutoencoderTiny` with the teacher's latent channels; its latents are scaled as a denoiser expects them."""
    width = config.width
    return diffusers().AutoencoderTiny(
        latent_channels=teacher.channels,
        encoder_block_out_channels=(width,) * len(config.encoder_blocks),
        decoder_block_out_channels=(width,) * len(config.decoder_blocks),
        num_encoder_blocks=config.encoder_blocks,
        num_decoder_blocks=config.decoder_blocks,
    )


def distill_codec(config: CodecTraining, teacher: DiffusersCodec, photos: PhotoSet, work: Path, out: Path) -> Events[Path]:
    """Trains the codec and saves it as the diffusers folder `out`; resumes from `work/codec.pt` if that exists.

    The loss curve is written to the parent of `work`.

    Raises:
        PriorError: if the codec would have another stride than its teacher, or the loss is not finite.
    """
    if (stride := 2 ** (len(config.encoder_blocks) - 1)) != teacher.stride:
        raise PriorError(f"the codec would have stride {stride}, its teacher has {teacher.stride}: change encoder_blocks")
    torch.manual_seed(config.seed)
    model = init_codec(config, teacher).to(memory_format=torch.channels_last)
    run = Training(model, config.learning_rate, config.steps, config.precision, work / "codec.pt")
    discriminator = None
    if config.critic_weight > 0:
        discriminator = init_discriminator(config.critic_rate, config.steps, config.precision, run)
    teacher.vae.to(run.device)
    for step in range(run.step, config.steps):
        rng, generator = step_generators(config.seed, step)
        images = random_crops(photos.train, config.batch, config.crop_px, rng).to(run.device)
        with run.autocast():
            losses, restored = distillation_losses(model, teacher, images, config, generator)
            if discriminator is not None:
                losses["adversarial"] = config.critic_weight * generator_loss(discriminator.model, restored)
        value = run.update(torch.stack(list(losses.values())).sum())
        if discriminator is not None:
            with discriminator.autocast():
                loss = discriminator_loss(discriminator.model, images, restored)
            discriminator.update(loss)
        if not np.isfinite(value):
            raise diverged(STAGE, step, config.learning_rate)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            run.save(companion=discriminator)
        yield Progressed(STAGE, run.step, config.steps, {name: float(term.detach()) for name, term in losses.items()})
    run.write_curve(work.parent / CURVE_FILE)
    student = DiffusersCodec(run.averaged(), tiny=True)
    run.averaged().save_pretrained(out)
    scores = {"psnr_test": round_trip_psnr(student, photos), "psnr_test_teacher": round_trip_psnr(teacher, photos)}
    yield Noted(STAGE, f"round trip of {TEST_CROPS} held-out crops of {TEST_PX} px, also of the teacher")
    yield Measured(STAGE, scores)
    yield Saved(STAGE, "codec", out)
    return out


def init_codec(config: CodecTraining, teacher: DiffusersCodec) -> Network:
    """The codec that the training starts from: untrained, or that of `config.init`.

    Raises:
        PriorError: if the latter has another shape.
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
    """The weighted loss terms, and the pictures decoded from the teacher's latents with a little noise.

    The student's own latents are not decoded: they lack detail in the beginning, and the decoder would learn to exaggerate it.
    """
    with torch.no_grad():
        target = teacher.encode(images)
    latents = model.encode(images * 2 - 1).latents
    noise = torch.randn(target.shape, generator=generator).to(target)
    restored = model.decode(target + noise * config.latent_noise * target.std()).sample / 2 + 0.5
    losses = {
        "latent": config.latent_weight * F.mse_loss(latents.float(), target.float()),
        "pixel": pixel_distance(restored.float(), images, config.edge_weight),
    }
    if config.feature_weight > 0:
        with torch.no_grad():
            features = teacher.features(images)
        losses["feature"] = config.feature_weight * feature_distance(teacher.features(restored), features)
    return losses, restored


def pixel_distance(a: Float[Tensor, "v 3 h w"], b: Float[Tensor, "v 3 h w"], edge_weight: float) -> Tensor:
    """L1 and squared error of pixels, and weighted L1 of differences of neighboring pixels at three scales."""
    loss = F.l1_loss(a, b) + F.mse_loss(a, b)
    for _ in range(SCALES):
        for axis in (2, 3):
            loss = loss + edge_weight / SCALES * F.l1_loss(a.diff(dim=axis), b.diff(dim=axis))
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return loss


def feature_distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Mean squared distance of unit feature vectors, averaged over layers."""
    return torch.stack([layer.mean() for layer in feature_distances(a, b)]).mean()


@torch.no_grad()
def round_trip_psnr(codec: DiffusersCodec, photos: PhotoSet) -> float:
    """PSNR in dB between held-out crops and their decoded latents, mean over crops."""
    images = random_crops(photos.test, TEST_CROPS, TEST_PX, np.random.default_rng(0))
    errors = []
    for image in images.split(1):
        image = image.to(codec.device)
        errors.append((codec.decode(codec.encode(image)).clamp(0, 1) - image).square().mean())
    return float(-10 * torch.stack(errors).log10().mean())
