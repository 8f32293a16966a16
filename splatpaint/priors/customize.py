"""Customization: trains a LoRA of a prior's denoiser on the photos of one scene (as RefFusion and MALD-NeRF do)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.config import check_least
from splatpaint.events import Events, Measured, Noted, Progressed, Saved
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import to_cells
from splatpaint.image.resample import working_size
from splatpaint.priors.adapter import Layers, add_lora, init_lora, save_lora
from splatpaint.priors.crops import CELLS
from splatpaint.priors.customization_data import MaskedPhoto, TrainingBatch, draw_batch
from splatpaint.priors.decoded_loss import CodecMetric, PerceptualMetric, decode_estimate, decoded_loss
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.noise import draw_levels
from splatpaint.priors.protocol import Conditioning, PriorQuery
from splatpaint.priors.training import diverged, step_generators

STAGE = "customize"
ADAPTER = "scene"
SCENE_PROMPT = "a photo of sks"
"""Prompt of the scene, with a rare token (DreamBooth, Ruiz et al. 2023)."""
WARMUP_STEPS = 10
"""Steps over which the learning rate rises from zero."""
CACHED_BATCHES = 64
"""Batches that are drawn and encoded, then repeated with other noise. With 12 the validation loss rose after 50 steps."""
PURE_NOISE_SHARE = 0.5
"""Share of training examples at the last noise level, where every fill starts; of a prior with two steps it is one of two."""
NO_PROMPT_SHARE = 0.1
"""Share of batches without a prompt, for priors that read text, so that classifier-free guidance keeps working."""
KNOWN_WEIGHT = 0.1
"""Weight of the loss of known cells; that of hole cells is 1."""
PERCEPTUAL_SHARE = 0.5
"""Share of a batch that is decoded for the perceptual loss."""
VALIDATION_EVERY = 25
"""Steps between two measurements of the validation loss."""
PATIENCE = 4
"""Training ends after this many successive measurements without a new least validation loss."""
VALIDATION_PHOTO_EVERY = 8
"""Every so many-th photo is for validation only."""
VALIDATION_BATCHES = 3


@dataclass(frozen=True)
class CustomizeConfig:
    """Settings of the customization of the prior to the scene."""

    RENAMED: ClassVar[dict[str, str]] = {
        "looks": "customize.perceptual_net",
        "lessons": "customize.pair_share; its other settings are constants",
        "course": "",
        "pure_noise_share": "",
        "no_prompt_share": "",
        "known_weight": "",
        "perceptual_share": "",
        "check_every": "",
        "patience": "",
    }

    steps: int = 0
    """Most optimizer steps; 0 = the prior is not customized. It may end earlier, when the validation loss stops falling."""
    rank: int = 16
    """Rank of the LoRA."""
    layers: Layers = "all"
    """Adapted layers: attention = attention projections only, all = also the convolutions of residual blocks."""
    learning_rate: float = 4e-3
    """Highest learning rate of AdamW, which falls linearly to zero. 4e-3 suits the bundled prior, 2e-4 Stable Diffusion."""
    pictures: int = 32
    """Most photos used, evenly spread over the capture."""
    batch: int = 4
    """Crops per step at the prior's largest training size; of smaller crops more, in inverse proportion to their area."""
    side_px: int | None = None
    """Side of the crops in pixels; None = the side at which the largest square of these photos is inpainted."""
    pair_share: float = 0.0
    """Share of batches of pairs [neighbor | photo]; above 0 for `inpaint.reference=context_view`."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual loss of decoded estimates; 0 = none. 1.1 suits the bundled prior, whose fills get blurred
    without. Not for priors that predict noise, whose estimates at high noise levels are meaningless."""
    perceptual_net: Literal["codec", "vgg"] = "codec"
    """Features of the perceptual loss: codec = the prior's own encoder, vgg = LPIPS (better, slower; weights are found as for
    `splatpaint eval`)."""
    precision: Literal["no", "bf16"] = "bf16"
    """Mixed precision; no for a device without bfloat16. The LoRA stays float32."""

    def __post_init__(self) -> None:
        check_least(self, 1, "rank", "pictures", "batch")


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """A training batch, encoded for the denoiser."""

    clean: Float[Tensor, "v c hl wl"]
    given: Conditioning
    weight: Float[Tensor, "v 1 hl wl"]
    """Weight of each cell's squared error."""
    pixels: TrainingBatch


def customize(
    prior: LatentInpaintingPrior, photos: Sequence[MaskedPhoto], config: CustomizeConfig, *, seed: int, out: Path
) -> Events[Path]:
    """Trains a LoRA on the photos. The prior keeps the weights with the least validation loss, which are written to `out`.

    Every eighth photo is for validation only. From then on a prior that reads text has `SCENE_PROMPT` before its own prompt.

    Args:
        prior: gets the LoRA.
        photos: two or more, in the order of the capture, so that neighbors see the same things.
        config: settings.
        seed: of all random numbers; on a CPU the same seed gives the same LoRA.
        out: a .safetensors file in diffusers' format.

    Raises:
        PriorError: if the loss is not finite.
        WeightsError: if `perceptual_net` is vgg and the weights of LPIPS are not on this machine.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # accelerate keeps one state per process and refuses a second training of another precision.
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=config.precision)
    torch.manual_seed(seed)
    parameters = init_lora(prior.unet, config.rank, ADAPTER, config.layers)
    metric = perceptual_metric(prior, config)
    prior.prompt = scene_prompt(prior)
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=1e-4)
    side = config.side_px or largest_inpainted_side(prior, photos)
    count = config.batch * max(prior.native_px // side, 1) ** 2
    training = [photo for index, photo in enumerate(photos) if index % VALIDATION_PHOTO_EVERY]
    validation = validation_batches(prior, photos[::VALIDATION_PHOTO_EVERY], count, side)
    yield Noted(STAGE, f"learning from {len(training)} photos, measured on {len(photos) - len(training)} others")
    first = best = validation_loss(prior, validation, config, metric)
    cached_batches: list[EncodedBatch] = []
    weights, without_improvement, step = copy.deepcopy(parameters), 0, 0
    while step < config.steps and without_improvement < PATIENCE:
        rng, generator = step_generators(seed, step)
        if len(cached_batches) < CACHED_BATCHES:
            drawn = draw_batch(training, count, side, rng, pair_share=config.pair_share)
            cached_batches.append(encode_batch(prior, drawn, prompted=rng.random() >= NO_PROMPT_SHARE))
        batch = cached_batches[step % CACHED_BATCHES]
        with accelerator.autocast():
            loss = batch_loss(prior, batch, generator, config, metric)
        if not torch.isfinite(loss):
            raise diverged(STAGE, step, config.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min((step + 1) / WARMUP_STEPS, 1 - step / config.steps)
        optimizer.zero_grad()
        accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        values = {"loss": float(loss.detach())}
        if step % VALIDATION_EVERY == 0 or step == config.steps:
            values["held_out"] = validation_loss(prior, validation, config, metric)
            without_improvement += 1
            if values["held_out"] < best:
                best, weights, without_improvement = values["held_out"], copy.deepcopy(parameters), 0
        yield Progressed(STAGE, step, config.steps, values)
    with torch.no_grad():
        for parameter, kept in zip(parameters, weights, strict=True):
            parameter.copy_(kept)
    prior.unet.requires_grad_(False)
    save_lora(prior.unet, ADAPTER, out)
    yield Measured(STAGE, {"held_out_before": first, "held_out_after": best, "steps": float(step)})
    yield Saved(STAGE, "LoRA of the scene", out)
    return out


def load_customization(prior: LatentInpaintingPrior, file: Path) -> None:
    """Adds the LoRA that an earlier `customize` wrote to the prior.

    Raises:
        PriorError: if the file is no LoRA of this prior's denoiser.
    """
    add_lora(prior.unet, file, ADAPTER)
    prior.prompt = scene_prompt(prior)


def scene_prompt(prior: LatentInpaintingPrior) -> str:
    """The prompt of a customized prior: `SCENE_PROMPT` and its own; only its own if it reads no text."""
    return f"{SCENE_PROMPT}, {prior.prompt}".removesuffix(", ") if prior.reads_text else prior.prompt


@torch.no_grad()
def encode_batch(prior: LatentInpaintingPrior, batch: TrainingBatch, *, prompted: bool = True) -> EncodedBatch:
    """Encodes a batch. A cell has no weight if one of its pixels is not supervised.

    Args:
        prior: encodes.
        batch: crops with holes.
        prompted: whether the prior's prompt is given, or the empty one.
    """
    query = PriorQuery(batch.images, batch.holes, None if prompted else "", layout=batch.layout)
    stride = prior.codec.stride
    supervised = 1 - to_cells(1 - batch.supervised, stride)
    weight = supervised * torch.where(to_cells(batch.holes, stride) > 0.5, 1.0, KNOWN_WEIGHT)
    clean = prior.codec.encode(batch.images)
    return EncodedBatch(clean, prior.condition(query), weight.to(clean), batch)


def perceptual_metric(prior: LatentInpaintingPrior, config: CustomizeConfig) -> PerceptualMetric | None:
    """The metric of the perceptual loss; None if its weight is 0.

    Raises:
        WeightsError: if it is LPIPS and its weights are not on this machine.
    """
    if config.perceptual_weight == 0:
        return None
    match config.perceptual_net:
        case "codec":
            return CodecMetric(prior.codec)
        case "vgg":
            return Lpips("vgg").to(next(prior.unet.parameters()).device)


def batch_loss(
    prior: LatentInpaintingPrior,
    batch: EncodedBatch,
    generator: torch.Generator,
    config: CustomizeConfig,
    metric: PerceptualMetric | None,
) -> Tensor:
    """The weighted mean squared error of the denoiser's output, and the perceptual loss of some decoded estimates.

    A prior without `max_steps` is trained at random noise levels. One with few steps is trained at the levels of its sampler,
    and from the second on at its own estimate of the first, as in sampling. There the examples at the lowest level are decoded,
    since those estimates are the result.
    """
    count, device = len(batch.clean), batch.clean.device
    decoded = max(round(PERCEPTUAL_SHARE * count), 1)
    noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean)
    if prior.max_steps is None:
        t = draw_levels(count, len(prior.noise), PURE_NOISE_SHARE, generator).to(device)
        start, few = None, torch.randperm(count, generator=generator)[:decoded].to(device)
    else:
        t = draw_sampler_levels(prior.noise.timesteps(prior.max_steps), count, PURE_NOISE_SHARE, generator).to(device)
        start, few = first_estimate(prior, batch, noise, t), torch.arange(count - decoded, count, device=device)
    error, estimate = prior.training_error(batch.clean, noise, t, batch.given, start)
    loss = (error * batch.weight).sum() / batch.weight.sum().clamp_min(1e-6)
    if metric is None:
        return loss
    pixels = batch.pixels
    images, holes = pixels.images[few], (pixels.holes * pixels.supervised)[few]
    latents = torch.where(batch.weight[few] == 1, estimate[few], batch.clean[few])
    painted = decode_estimate(prior.codec, latents, images, holes, pixels.layout)
    return loss + config.perceptual_weight * decoded_loss(metric, painted, images, holes)


def draw_sampler_levels(
    levels: Sequence[int], count: int, pure_noise_share: float, generator: torch.Generator
) -> Int[Tensor, " v"]:
    """Random noise levels of a sampler, in falling order: the first one for a share of the pictures, others for the rest."""
    drawn = [0] * (round(pure_noise_share * count) if len(levels) > 1 else count)
    later = torch.randint(1, max(len(levels), 2), (count - len(drawn),), generator=generator)
    return torch.tensor([levels[index] for index in [*drawn, *later.sort().values.tolist()]])


@torch.no_grad()
def first_estimate(
    prior: LatentInpaintingPrior, batch: EncodedBatch, noise: Float[Tensor, "v c hl wl"], t: Int[Tensor, " v"]
) -> Float[Tensor, "v c hl wl"]:
    """The clean latents; for pictures below the last noise level hole cells have the prior's estimate from pure noise."""
    last = torch.full_like(t, len(prior.noise) - 1)
    estimate = prior.denoise(noise, last, batch.given, guidance=1.0).clean
    unknown = to_cells(batch.pixels.holes, prior.codec.stride).to(estimate) > 0.5
    return torch.where(unknown & (t < last)[:, None, None, None], estimate, batch.clean)


def largest_inpainted_side(prior: LatentInpaintingPrior, photos: Sequence[MaskedPhoto]) -> int:
    """Side in pixels at which `crops.inpaint` denoises the largest square that fits into all photos."""
    short = min(min(photo.image.shape[2:]) for photo in photos)
    side = min(max(short, prior.smallest_px), prior.native_px)
    return working_size(short, short, side_px=side, multiple=prior.codec.stride * CELLS, enlarge=True)[0]


def validation_batches(
    prior: LatentInpaintingPrior, photos: Sequence[MaskedPhoto], count: int, side: int
) -> list[EncodedBatch]:
    """Batches of single crops with holes, the same for every seed."""
    rng = np.random.default_rng(0)
    return [encode_batch(prior, draw_batch(photos, count, side, rng)) for _ in range(VALIDATION_BATCHES)]


@torch.no_grad()
def validation_loss(
    prior: LatentInpaintingPrior, batches: Sequence[EncodedBatch], config: CustomizeConfig, metric: PerceptualMetric | None
) -> float:
    """Mean loss of the batches, always with the same noise at the same levels."""
    generator = torch.Generator().manual_seed(0)
    return float(np.mean([float(batch_loss(prior, batch, generator, config, metric)) for batch in batches]))
