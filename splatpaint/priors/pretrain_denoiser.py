"""Training a small inpainting U-Net from scratch over a trained codec.

What works on a small budget: v-prediction on a schedule that ends in pure noise, many draws there (so that one step already
gives the conditional mean), and the membrane over the known pixels as conditioning. The network is shown, and predicts, the
*residual* on the membrane's latents: `x_t - sqrt(a) z_fill = sqrt(a) (z - z_fill) + sqrt(1 - a) eps`, so the noise is the same
noise, and a network that says nothing paints the membrane.

It sees single pictures of two sizes, pairs and grids of views of one place (see canvas.py), and is told which. All kinds have
the same number of latent cells a step, so a step always takes as long.

A network that knows the colors is taught how they look by decoding what it estimates (see decoded_loss.py): squared error of
latents alone takes many more steps to get there.
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
from splatpaint.priors.critic import discriminator_loss, generator_loss, init_discriminator
from splatpaint.priors.decoded_loss import decoded_loss, painted_pictures
from splatpaint.priors.latent import LatentInpaintingPrior, PriorTraits
from splatpaint.priors.networks import Network, diffusers, plain_attention
from splatpaint.priors.noise import NoiseSchedule, draw_levels
from splatpaint.priors.photos import PhotoSet, random_crops, random_views
from splatpaint.priors.protocol import Conditioning, TextEmbedding
from splatpaint.priors.random_holes import random_holes
from splatpaint.priors.training import CURVE_FILE, Training, diverged, draws

STAGE = "denoiser"
SHARD_STAGE = "latents"
ENCODED_AT_ONCE = 8


@dataclass(frozen=True)
class Kind:
    """One kind of training picture."""

    layout: Layout
    panel: int
    """Side of a panel, in units of the crop."""
    share: float
    """Of the steps."""

    @property
    def area(self) -> int:
        """In units of a crop."""
        rows, columns = PANELS[self.layout]
        return rows * columns * self.panel**2


KINDS = (Kind("single", 1, 0.45), Kind("single", 2, 0.2), Kind("pair", 1, 0.25), Kind("grid", 1, 0.1))


@dataclass(frozen=True)
class DenoiserTraining:
    """A `UNet2DConditionModel` that attends at all levels but the finest and reads no text."""

    steps: int = 20000
    """Optimizer steps."""
    batch: int = 32
    """Crops a step; larger pictures are as many fewer as they are larger. A multiple of four."""
    crop_px: int = 128
    """Side of the small pictures and of the panels of canvases; the large pictures have twice this side."""
    learning_rate: float = 4e-4
    """AdamW's, at its highest; rises over the first steps and falls linearly to zero over the last third."""
    widths: tuple[int, ...] = (96, 160, 224)
    """Channels at full, half, quarter, ... latent resolution."""
    pure_noise_share: float = 0.3
    """Of the draws, at the last noise level, where the answer is the mean of all plausible fills."""
    known_weight: float = 0.1
    """Of the loss outside the holes, where there is nothing to learn but zero."""
    all_hole_share: float = 0.1
    """Of the pictures, or of the targets of pairs, nothing is known."""
    shard_crops: int = 256
    """Crops of each kind (larger pictures: as many fewer) that are encoded at once and then drawn from."""
    shard_steps: int = 800
    """After so many steps others are encoded."""
    holes_per_crop: int = 2
    """Different holes drawn into each of them."""
    perceptual_weight: float = 0.0
    """Of the LPIPS (vgg) of the decoded estimate; 0 = none. For a network that already knows the colors."""
    perceptual_crops: int = 8
    """Of a step's crops, decoded for it and for the critic."""
    critic_weight: float = 0.0
    """Of a patch critic's verdict on the holes of the decoded estimates; 0 = none. For a network that already paints."""
    critic_rate: float = 2e-4
    """The critic's learning rate."""
    init: str | None = None
    """Folder of a prior of the same shape to start from; None = from scratch."""
    precision: Literal["no", "bf16"] = "bf16"
    """accelerate's mixed precision. Weights stay float32."""
    seed: int = 0
    """Of the initial weights and of everything drawn."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Encoded pictures of one kind and their holes."""

    layout: Layout
    latents: Float[Tensor, "n c hl wl"]
    given: Float[Tensor, "n ck hl wl"]
    """Latent mask and latents of the filled picture."""
    images: Float[Tensor, "n 3 h w"]
    """In half precision: photos have 8 bits."""
    holes: Bool[Tensor, "n 1 h w"]

    def draw(self, count: int, generator: torch.Generator) -> "Examples":
        """Random ones of them."""
        index = torch.randint(len(self.latents), (count,), generator=generator).to(self.latents.device)
        return self._map(lambda each: each[index])

    def first(self, count: int) -> "Examples":
        """The first of them."""
        return self._map(lambda each: each[:count])

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Examples":
        return Examples(self.layout, *(change(each) for each in (self.latents, self.given, self.images, self.holes)))


def build_denoiser(config: DenoiserTraining, latent_channels: int) -> Network:
    """A fresh `UNet2DConditionModel` whose last layer is zero, so that it starts by painting the membrane.

    It has 2c + 1 input channels like every inpainting U-Net. Its cross-attention sees one token, see `summary_token`.
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


def begun_denoiser(config: DenoiserTraining, latent_channels: int) -> Network:
    """What the training starts from.

    Raises:
        PriorError: if the prior to start from is not there or has another shape.
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


def habits_of(config: DenoiserTraining) -> PriorTraits:
    """What a prior must do to be used as it was trained."""
    sizes = [kind.panel * config.crop_px for kind in KINDS if kind.layout == "single"]
    return PriorTraits(
        fill="harmonic", residual=True, summary=True, zero_noise_input=True, native_px=max(sizes), smallest_px=min(sizes)
    )


def build_scheduler() -> Network:
    """The noise schedule in diffusers' own class: cosine, rescaled to end in pure noise (Lin et al. 2024, alg. 1)."""
    return diffusers().DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


class Looks:
    """How the pictures that a denoiser paints look: LPIPS of its decoded estimates, and a critic that learns beside it."""

    def __init__(self, config: DenoiserTraining, codec: DiffusersCodec, run: Training) -> None:
        self._config, self._codec = config, codec
        self._lpips = Lpips("vgg").to(run.device) if config.perceptual_weight > 0 else None
        self.critic = None
        if config.critic_weight > 0:
            self.critic = init_discriminator(config.critic_rate, config.steps, config.precision, run)
        self._shown: tuple[Tensor, Tensor, Tensor] | None = None

    def loss(self, few: Examples, estimate: Float[Tensor, "v c hl wl"]) -> Tensor:
        """Of the examples, which are the first of those whose clean latents were estimated."""
        images, holes = few.images.float(), few.holes.float()
        latents = torch.where(few.given[:, :1] > 0.5, estimate[: len(few.latents)], few.latents)
        painted = painted_pictures(self._codec, latents, images, holes, few.layout)
        self._shown = images, painted.detach(), holes
        loss = painted.new_zeros(())
        if self._lpips is not None:
            loss = loss + self._config.perceptual_weight * decoded_loss(self._lpips, painted, images, holes)
        if self.critic is not None:
            loss = loss + self._config.critic_weight * generator_loss(self.critic.model, painted, holes)
        return loss

    def update_critic(self) -> None:
        """The critic, if there is one, learns from what the last loss was of."""
        if self.critic is None or self._shown is None:
            return
        with self.critic.autocast():
            verdict = discriminator_loss(self.critic.model, *self._shown)
        self.critic.update(verdict)


def train_denoiser(config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, work: Path) -> Events[Path]:
    """Trains the U-Net over the codec and saves `work/unet` and `work/scheduler`; continues from `work/denoiser.pt`.

    The losses by step are left beside `work`.

    Raises:
        PriorError: if the loss is not a number.
    """
    torch.manual_seed(config.seed)
    model = begun_denoiser(config, codec.channels)
    run = Training(model, config.learning_rate, config.steps, config.precision, work / "denoiser.pt")
    if run.device.type == "cpu":  # where torch's fused attention takes as long as all the rest
        model.set_attn_processor(plain_attention())
    codec.vae.to(run.device)
    scheduler = build_scheduler()
    noise = NoiseSchedule(scheduler.alphas_cumprod.to(run.device))
    learning = LatentInpaintingPrior(run.model, codec, noise, "v_prediction", habits=habits_of(config))
    looks = Looks(config, codec, run) if config.perceptual_weight > 0 or config.critic_weight > 0 else None
    shard: list[Examples] = []
    for step in range(run.step, config.steps):
        if not shard or step % config.shard_steps == 0:
            shard = yield from encode_shard(config, codec, photos, step // config.shard_steps)
        rng, generator = draws(config.seed, step)
        place = int(rng.choice(len(KINDS), p=[kind.share for kind in KINDS]))
        examples = shard[place].draw(max(config.batch // KINDS[place].area, 1), generator)
        clean, given = examples.latents, examples.given
        t = draw_levels(len(clean), len(noise), config.pure_noise_share, generator).to(run.device)
        eps = torch.randn(clean.shape, generator=generator).to(run.device)
        token = summary_token(given, examples.layout, run.model.config.cross_attention_dim)
        with run.autocast():
            loss, estimate = denoising_loss(learning, clean, given, token, t, eps, config.known_weight)
            if looks is not None:
                loss = loss + looks.loss(examples.first(max(config.perceptual_crops // KINDS[place].area, 1)), estimate)
        value = run.update(loss)
        if looks is not None:
            looks.update_critic()
        if not np.isfinite(value):
            raise diverged(STAGE, step, config.learning_rate)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            run.save(beside=looks.critic if looks is not None else None)
        yield Progressed(STAGE, run.step, config.steps, {"loss": value})
    run.write_curve(work.parent / CURVE_FILE)
    run.averaged().save_pretrained(work / "unet")
    scheduler.save_pretrained(work / "scheduler")
    yield Saved(STAGE, "denoiser", work / "unet")
    return work / "unet"


def encode_shard(config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, number: int) -> Events[list[Examples]]:
    """New pictures of every kind with new holes, the same for the same number."""
    shard, total = [], sum(shard_size(kind, config) for kind in KINDS)
    for place, kind in enumerate(KINDS):
        chunks = _encoded(kind, config, codec, photos, np.random.default_rng([config.seed, number, place]))
        parts = []
        for chunk in chunks:
            parts.append(chunk)
            done = sum(len(examples.latents) for examples in shard) + sum(len(part[0]) for part in parts)
            yield Progressed(SHARD_STAGE, done, total * config.holes_per_crop)
        shard.append(Examples(kind.layout, *(torch.cat(part) for part in zip(*parts, strict=True))))
    return shard


def shard_size(kind: Kind, config: DenoiserTraining) -> int:
    """Pictures of one kind that are encoded at once."""
    return max(config.shard_crops // kind.area, 1)


@torch.no_grad()
def _encoded(
    kind: Kind, config: DenoiserTraining, codec: DiffusersCodec, photos: PhotoSet, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The parts of `Examples`, each picture as often as it has holes, a few at a time."""
    left = shard_size(kind, config)
    while left > 0:
        count = min(left, max(ENCODED_AT_ONCE // kind.area, 1))
        images = training_pictures(kind, count, config.crop_px, photos, rng).to(codec.device)
        holes = [training_holes(kind, count, config, rng).to(codec.device) for _ in range(config.holes_per_crop)]
        filled = [fill_holes(images, hole, "harmonic", kind.layout) for hole in holes]
        with torch.autocast(codec.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            encoded = codec.encode(torch.cat([images, *filled])).float()
        clean, *begun = encoded.split(count)
        shown = [torch.cat([to_cells(hole, codec.stride), each], dim=1) for hole, each in zip(holes, begun, strict=True)]
        latents, pictures = (each.repeat(len(holes), 1, 1, 1) for each in (clean, images.half()))
        yield latents, torch.cat(shown), pictures, torch.cat(holes) > 0.5
        left -= count


def training_pictures(
    kind: Kind, count: int, crop_px: int, photos: PhotoSet, rng: np.random.Generator
) -> Float[Tensor, "v 3 h w"]:
    """Crops, or canvases of several views of one place."""
    side = kind.panel * crop_px
    if kind.layout == "single":
        return random_crops(photos.train, count, side, rng)
    rows, columns = PANELS[kind.layout]
    return join_panels(random_views(photos.train, count, rows * columns, side, rng), kind.layout)


def training_holes(kind: Kind, count: int, config: DenoiserTraining, rng: np.random.Generator) -> Float[Tensor, "v 1 h w"]:
    """Random holes: in the last panel, in a grid in one to three of the four."""
    rows, columns = PANELS[kind.layout]
    side, panels = kind.panel * config.crop_px, rows * columns
    holes = torch.stack([random_holes(count, side, side, rng) for _ in range(panels)])
    everything = torch.from_numpy(rng.random(count) < config.all_hole_share)
    holes[-1, everything] = 1.0
    holed = torch.zeros(panels, count, dtype=torch.bool)
    holed[-1] = True
    if kind.layout == "grid":
        holed = torch.from_numpy(rng.random((panels, count)).argsort(axis=0) < rng.integers(1, panels, size=count))
    return join_panels(list(holes * holed[:, :, None, None, None]), kind.layout)


def denoising_loss(
    learning: LatentInpaintingPrior,
    clean: Float[Tensor, "v c hl wl"],
    given: Float[Tensor, "v ck hl wl"],
    token: Float[Tensor, "v 1 d"],
    t: Int[Tensor, " v"],
    eps: Float[Tensor, "v c hl wl"],
    known_weight: float,
) -> tuple[Tensor, Float[Tensor, "v c hl wl"]]:
    """Squared error of the predicted velocity of the residual, in the holes above all; and the estimated clean latents."""
    error, estimate = learning.training_error(clean, eps, t, Conditioning(given, TextEmbedding(token)))
    weight = given[:, :1] + known_weight * (1 - given[:, :1])
    return (weight * error).sum() / weight.sum(), estimate
