"""Trains a small inpainting U-Net over a trained codec.

Three choices for a small budget: v-prediction on a schedule that ends in pure noise, many draws there (so that one step gives
the conditional mean), and the harmonic fill of the known pixels as conditioning. Input and output are residuals to the latents
of the fill: `x_t - sqrt(a) z_fill = sqrt(a) (z - z_fill) + sqrt(1 - a) eps`. The noise is the same, and a zero output is the
harmonic fill.

Training pictures are single pictures of two sizes, and pairs and grids of views of one place (see canvas.py); the summary
token names the layout. Every step has the same number of latent cells, so it takes the same time.

A second training from the first may add a perceptual loss of decoded estimates (see decoded_loss.py): with the squared error
of latents alone, sharp pictures take many more steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatpaint.errors import PriorError
from splatpaint.events import Events, Progressed, Saved
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import to_cells
from splatpaint.priors.canvas import PANELS, Layout, join_panels
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.conditioning import fill_holes, summary_token
from splatpaint.priors.decoded_loss import decode_estimate, decoded_loss
from splatpaint.priors.discriminator import discriminator_loss, generator_loss, init_discriminator
from splatpaint.priors.latent import LatentInpaintingPrior, PriorTraits
from splatpaint.priors.networks import Network, diffusers, plain_attention
from splatpaint.priors.noise import NoiseSchedule, draw_levels
from splatpaint.priors.photos import PhotoSet, random_crops, random_views
from splatpaint.priors.protocol import Conditioning, TextEmbedding
from splatpaint.priors.random_holes import random_holes
from splatpaint.priors.training import CURVE_FILE, Training, diverged, step_generators
from splatpaint.streams import check_seed

STAGE = "denoiser"
SHARD_STAGE = "latents"
ENCODED_AT_ONCE = 8
"""Crops per call of the codec when a shard is encoded."""


@dataclass(frozen=True)
class PictureKind:
    """A layout and size of training pictures."""

    layout: Layout
    panel: int
    """Side of a panel in units of the crop."""
    share: float
    """Share of the steps."""

    @property
    def area(self) -> int:
        """Area in units of a crop."""
        rows, columns = PANELS[self.layout]
        return rows * columns * self.panel**2


KINDS = (
    PictureKind("single", 1, 0.45),
    PictureKind("single", 2, 0.2),
    PictureKind("pair", 1, 0.25),
    PictureKind("grid", 1, 0.1),
)


@dataclass(frozen=True)
class DenoiserTraining:
    """Settings of the training of a `UNet2DConditionModel` with attention at all levels but the finest, without text."""

    steps: int = 20000
    """Optimizer steps."""
    batch: int = 32
    """Crops per step, a multiple of four; of larger pictures fewer, in proportion to their area."""
    crop_px: int = 128
    """Side in pixels of the small pictures and of panels; large pictures have twice this side."""
    learning_rate: float = 4e-4
    """Highest learning rate of AdamW; rises over the first steps and falls linearly to zero over the last third."""
    widths: tuple[int, ...] = (96, 160, 224)
    """Channels at full, half, quarter, ... latent resolution."""
    pure_noise_share: float = 0.3
    """Share of draws at the last noise level, where the optimal estimate is the mean of all plausible fills."""
    known_weight: float = 0.1
    """Weight of the loss outside the holes, where the target is known; in the holes it is 1."""
    all_hole_share: float = 0.1
    """Share of pictures, or of target panels, that are hole everywhere."""
    shard_crops: int = 256
    """Crops of each kind that are encoded for a shard; of larger pictures fewer, in proportion to their area."""
    shard_steps: int = 800
    """Steps after which a new shard is encoded."""
    holes_per_crop: int = 2
    """Different holes for each of these crops."""
    perceptual_weight: float = 0.0
    """Weight of LPIPS (vgg) of decoded estimates; 0 = none. For a denoiser that is already trained (see `init`)."""
    perceptual_crops: int = 8
    """Crops of a step that are decoded for LPIPS and the adversarial loss."""
    critic_weight: float = 0.0
    """Weight of the adversarial loss of decoded holes; 0 = none. For a denoiser that is already trained (see `init`)."""
    critic_rate: float = 2e-4
    """Learning rate of the discriminator."""
    init: str | None = None
    """Folder of a prior of the same shape to start from; None = random weights."""
    precision: Literal["no", "bf16"] = "bf16"
    """Mixed precision of accelerate; weights stay float32."""
    seed: int = 0
    """Seed of the initial weights and of all random draws."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True, eq=False)
class EncodedPictures:
    """Pictures of one kind with holes, encoded."""

    layout: Layout
    latents: Float[Tensor, "n c hl wl"]
    given: Float[Tensor, "n ck hl wl"]
    """Latent mask and latents of the filled pictures."""
    images: Float[Tensor, "n 3 h w"]
    """In float16, since photos have 8 bits."""
    holes: Bool[Tensor, "n 1 h w"]

    def draw(self, count: int, generator: torch.Generator) -> "EncodedPictures":
        """Random ones, with replacement."""
        index = torch.randint(len(self.latents), (count,), generator=generator).to(self.latents.device)
        return self._map(lambda each: each[index])

    def first(self, count: int) -> "EncodedPictures":
        """The first ones."""
        return self._map(lambda each: each[:count])

    def _map(self, change: Callable[[Tensor], Tensor]) -> "EncodedPictures":
        return EncodedPictures(self.layout, *(change(each) for each in (self.latents, self.given, self.images, self.holes)))


def build_denoiser(config: DenoiserTraining, latent_channels: int) -> Network:
    """An untrained `UNet2DConditionModel` with 2c + 1 input channels and one cross-attention token, see `summary_token`.

    Its last layer is zero, so that its estimate is the harmonic fill.
    """
    coarse = len(config.widths) - 1
    model = diffusers().UNet2DConditionModel(
        in_channels=2 * latent_channels + 1,
        out_channels=latent_channels,
        block_out_channels=config.widths,
        layers_per_block=1,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * coarse),
        up_block_types=(*("CrossAttnUpBlock2D",) * coarse, "UpBlock2D"),
        attention_head_dim=min(32, *config.widths),
        cross_attention_dim=16,
        norm_num_groups=min(16, *config.widths),
    )
    for parameter in model.conv_out.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def init_denoiser(config: DenoiserTraining, latent_channels: int) -> Network:
    """The denoiser that the training starts from: untrained, or that of `config.init`.

    Raises:
        PriorError: if the latter does not exist or has another shape.
    """
    fresh = build_denoiser(config, latent_channels)
    if config.init is not None:
        folder = Path(config.init) / "unet"
        if not (folder / "config.json").is_file():
            raise PriorError(f"{config.init} holds no prior to start from: expected a folder with unet/config.json")
        try:
            fresh.load_state_dict(diffusers().UNet2DConditionModel.from_pretrained(folder).state_dict())
        except RuntimeError as error:
            raise PriorError(f"the denoiser in {config.init} has another shape than the one to be trained") from error
    return fresh


def prior_traits(config: DenoiserTraining) -> PriorTraits:
    """The traits of a prior with this training."""
    sizes = [kind.panel * config.crop_px for kind in KINDS if kind.layout == "single"]
    return PriorTraits(
        fill="harmonic", residual=True, summary=True, zero_noise_input=True, native_px=max(sizes), smallest_px=min(sizes)
    )


def build_scheduler() -> Network:
    """diffusers' scheduler with a cosine schedule, rescaled to end in pure noise (Lin et al. 2024, alg. 1)."""
    return diffusers().DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


class DecodedLosses:
    """Losses of decoded estimates: LPIPS, and an adversarial loss with its own discriminator."""

    def __init__(self, config: DenoiserTraining, codec: DiffusersCodec, run: Training) -> None:
        self._config, self._codec = config, codec
        self._lpips = Lpips("vgg").to(run.device) if config.perceptual_weight > 0 else None
        self.discriminator = None
        if config.critic_weight > 0:
            self.discriminator = init_discriminator(config.critic_rate, config.steps, config.precision, run)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def loss(self, few: EncodedPictures, estimate: Float[Tensor, "v c hl wl"]) -> Tensor:
        """The weighted sum of both losses.

        Args:
            few: the first pictures of the batch.
            estimate: estimated clean latents of the batch.
        """
        images, holes = few.images.float(), few.holes.float()
        latents = torch.where(few.given[:, :1] > 0.5, estimate[: len(few.latents)], few.latents)
        painted = decode_estimate(self._codec, latents, images, holes, few.layout)
        self._last = images, painted.detach(), holes
        loss = painted.new_zeros(())
        if self._lpips is not None:
            loss = loss + self._config.perceptual_weight * decoded_loss(self._lpips, painted, images, holes)
        if self.discriminator is not None:
            loss = loss + self._config.critic_weight * generator_loss(self.discriminator.model, painted, holes)
        return loss

    def update_discriminator(self) -> None:
        """One step of the discriminator, if there is one, on the pictures of the last `loss`."""
        if self.discriminator is None or self._last is None:
            return
        with self.discriminator.autocast():
            loss = discriminator_loss(self.discriminator.model, *self._last)
        self.discriminator.update(loss)


def train_denoiser(config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, work: Path) -> Events[Path]:
    """Trains the U-Net and saves `work/unet` and `work/scheduler`; resumes from `work/denoiser.pt` if that exists.

    The loss curve is written to the parent of `work`.

    Raises:
        PriorError: if the loss is not finite.
    """
    torch.manual_seed(config.seed)
    model = init_denoiser(config, codec.channels)
    run = Training(model, config.learning_rate, config.steps, config.precision, work / "denoiser.pt")
    if run.device.type == "cpu":  # where torch's fused attention takes as long as all the rest
        model.set_attn_processor(plain_attention())
    codec.vae.to(run.device)
    scheduler = build_scheduler()
    noise = NoiseSchedule(scheduler.alphas_cumprod.to(run.device))
    prior = LatentInpaintingPrior(run.model, codec, noise, "v_prediction", traits=prior_traits(config))
    decoded = DecodedLosses(config, codec, run) if config.perceptual_weight > 0 or config.critic_weight > 0 else None
    shard: list[EncodedPictures] = []
    for step in range(run.step, config.steps):
        if not shard or step % config.shard_steps == 0:
            shard = yield from encode_shard(config, codec, photos, step // config.shard_steps)
        rng, generator = step_generators(config.seed, step)
        index = int(rng.choice(len(KINDS), p=[kind.share for kind in KINDS]))
        examples = shard[index].draw(max(config.batch // KINDS[index].area, 1), generator)
        clean, given = examples.latents, examples.given
        t = draw_levels(len(clean), len(noise), config.pure_noise_share, generator).to(run.device)
        eps = torch.randn(clean.shape, generator=generator).to(run.device)
        token = summary_token(given, examples.layout, run.model.config.cross_attention_dim)
        with run.autocast():
            loss, estimate = denoising_loss(prior, clean, given, token, t, eps, config.known_weight)
            if decoded is not None:
                loss = loss + decoded.loss(examples.first(max(config.perceptual_crops // KINDS[index].area, 1)), estimate)
        value = run.update(loss)
        if decoded is not None:
            decoded.update_discriminator()
        if not np.isfinite(value):
            raise diverged(STAGE, step, config.learning_rate)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            run.save(companion=decoded.discriminator if decoded is not None else None)
        yield Progressed(STAGE, run.step, config.steps, {"loss": value})
    run.write_curve(work.parent / CURVE_FILE)
    run.averaged().save_pretrained(work / "unet")
    scheduler.save_pretrained(work / "scheduler")
    yield Saved(STAGE, "denoiser", work / "unet")
    return work / "unet"


def encode_shard(
    config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, number: int
) -> Events[list[EncodedPictures]]:
    """Random pictures of every kind with random holes; the same for the same seed and shard number."""
    shard, total = [], sum(shard_size(kind, config) for kind in KINDS)
    for index, kind in enumerate(KINDS):
        chunks = _encoded(kind, config, codec, photos, np.random.default_rng([config.seed, number, index]))
        parts = []
        for chunk in chunks:
            parts.append(chunk)
            done = sum(len(examples.latents) for examples in shard) + sum(len(part[0]) for part in parts)
            yield Progressed(SHARD_STAGE, done, total * config.holes_per_crop)
        shard.append(EncodedPictures(kind.layout, *(torch.cat(part) for part in zip(*parts, strict=True))))
    return shard


def shard_size(kind: PictureKind, config: DenoiserTraining) -> int:
    """Pictures of one kind in a shard."""
    return max(config.shard_crops // kind.area, 1)


@torch.no_grad()
def _encoded(
    kind: PictureKind, config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The tensors of `EncodedPictures` in chunks; each picture is repeated for each of its holes."""
    left = shard_size(kind, config)
    while left > 0:
        count = min(left, max(ENCODED_AT_ONCE // kind.area, 1))
        images = training_pictures(kind, count, config.crop_px, photos, rng).to(codec.device)
        holes = [training_holes(kind, count, config, rng).to(codec.device) for _ in range(config.holes_per_crop)]
        filled = [fill_holes(images, hole, "harmonic", kind.layout) for hole in holes]
        with torch.autocast(codec.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            encoded = codec.encode(torch.cat([images, *filled])).float()
        clean, *fills = encoded.split(count)
        given = [torch.cat([to_cells(hole, codec.stride), fill], dim=1) for hole, fill in zip(holes, fills, strict=True)]
        latents, pictures = (each.repeat(len(holes), 1, 1, 1) for each in (clean, images.half()))
        yield latents, torch.cat(given), pictures, torch.cat(holes) > 0.5
        left -= count


def training_pictures(
    kind: PictureKind, count: int, crop_px: int, photos: PhotoSet, rng: np.random.Generator
) -> Float[Tensor, "v 3 h w"]:
    """Random crops, or canvases of simulated views."""
    side = kind.panel * crop_px
    if kind.layout == "single":
        return random_crops(photos.train, count, side, rng)
    rows, columns = PANELS[kind.layout]
    return join_panels(random_views(photos.train, count, rows * columns, side, rng), kind.layout)


def training_holes(
    kind: PictureKind, count: int, config: DenoiserTraining, rng: np.random.Generator
) -> Float[Tensor, "v 1 h w"]:
    """Random holes in the last panel; in grids in one to three of the four panels."""
    rows, columns = PANELS[kind.layout]
    side, panels = kind.panel * config.crop_px, rows * columns
    holes = torch.stack([random_holes(count, side, side, rng) for _ in range(panels)])
    all_hole = torch.from_numpy(rng.random(count) < config.all_hole_share)
    holes[-1, all_hole] = 1.0
    holed = torch.zeros(panels, count, dtype=torch.bool)
    holed[-1] = True
    if kind.layout == "grid":
        holed = torch.from_numpy(rng.random((panels, count)).argsort(axis=0) < rng.integers(1, panels, size=count))
    return join_panels(list(holes * holed[:, :, None, None, None]), kind.layout)


def denoising_loss(
    prior: LatentInpaintingPrior,
    clean: Float[Tensor, "v c hl wl"],
    given: Float[Tensor, "v ck hl wl"],
    token: Float[Tensor, "v 1 d"],
    t: Int[Tensor, " v"],
    eps: Float[Tensor, "v c hl wl"],
    known_weight: float,
) -> tuple[Tensor, Float[Tensor, "v c hl wl"]]:
    """The weighted mean squared error of the predicted velocity, and the estimated clean latents.

    Hole cells weigh 1, known cells `known_weight`.
    """
    error, estimate = prior.training_error(clean, eps, t, Conditioning(given, TextEmbedding(token)))
    weight = given[:, :1] + known_weight * (1 - given[:, :1])
    return (weight * error).sum() / weight.sum(), estimate
