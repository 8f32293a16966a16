"""A prior learns one scene: a LoRA of its denoiser, trained to paint what the scene's photos show around the object."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.events import Events, Measured, Noted, Progressed, Saved
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import Box, to_cells
from splatpaint.priors.adapter import Layers, add_lora, begin_lora, save_lora
from splatpaint.priors.crops import CELLS, working_shape
from splatpaint.priors.customization_data import KnownPicture, Lesson, LessonConfig, draw_lesson
from splatpaint.priors.decoded_loss import CodecDistance, Distance, decoded_loss, painted_pictures
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.noise import draw_levels
from splatpaint.priors.protocol import Conditioning, PriorQuery
from splatpaint.priors.training import diverged, draws

STAGE = "customize"
ADAPTER = "scene"
SCENE_PROMPT = "a photo of sks"
"""A word that means nothing yet stands for the scene (DreamBooth, Ruiz et al. 2023)."""
WARMUP_STEPS = 10
HELD_OUT_EVERY = 8
HELD_OUT_BATCHES = 3


@dataclass(frozen=True)
class CustomizeConfig:
    """How the prior learns the scene."""

    steps: int = 0
    """At most so many optimizer steps; 0 = the prior stays as it is."""
    rank: int = 16
    """Of the LoRA."""
    layers: Layers = "all"
    """What it adapts: the attention projections, or the residual blocks' convolutions too."""
    learning_rate: float = 4e-3
    """AdamW's, falling linearly to zero after a warm-up. The bundled prior wants 4e-3, Stable Diffusion 2e-4."""
    pictures: int = 32
    """At most this many photos, evenly spread, are learned from."""
    batch: int = 4
    """Crops a step, of the largest size that the prior was trained on; of smaller ones as many more as they are smaller."""
    side_px: int | None = None
    """Side of the crops; None = that at which the largest holes of these pictures are painted."""
    lessons: LessonConfig = field(default_factory=LessonConfig)
    course: int = 64
    """So many batches of lessons are drawn and encoded, then taught again and again with other noise. A few are learned by
    heart: with twelve, what was held out got worse after fifty steps."""
    pure_noise_share: float = 0.5
    """Of the lessons: where every fill begins, and half of what a prior of two steps does."""
    no_prompt_share: float = 0.1
    """Of the lessons, without the scene's prompt, for priors that read text, so that guidance keeps its meaning."""
    known_weight: float = 0.1
    """Of the loss outside the holes."""
    perceptual_weight: float = 0.0
    """Of the distance of how the decoded estimates look (see decoded_loss.py); 0 = none. The bundled prior was taught how its
    pictures look, and unlearns it without: 1.1 is right for it. Refused for priors that predict noise: their estimates mean
    nothing where there is much of it."""
    perceptual_share: float = 0.5
    """Of a batch, decoded for it."""
    looks: Literal["codec", "vgg"] = "codec"
    """What compares them: features of the prior's own codec, or LPIPS on VGG, better and slower, whose weights are found as
    those of `splatpaint eval` are."""
    check_every: int = 25
    """Steps between measurements on pictures that are not learned from."""
    patience: int = 4
    """So many measurements without a better one end the training."""
    precision: Literal["no", "bf16"] = "bf16"
    """accelerate's mixed precision. The LoRA stays float32."""


@dataclass(frozen=True, eq=False)
class Task:
    """A batch of lessons as the denoiser takes it."""

    clean: Float[Tensor, "v c hl wl"]
    given: Conditioning
    weight: Float[Tensor, "v 1 hl wl"]
    """Of each cell's error."""
    lesson: Lesson


def customize(
    prior: LatentInpaintingPrior, pictures: Sequence[KnownPicture], config: CustomizeConfig, *, seed: int, out: Path
) -> Events[Path]:
    """Trains a LoRA on the pictures and leaves the prior with the best one found, which is also written to `out`.

    Every eighth picture only measures. A prior that reads text is from then on asked for `SCENE_PROMPT` beside its own prompt.

    Args:
        prior: gets the LoRA.
        pictures: two or more photos in the order of the capture, so that neighbors see the same things.
        config: see there.
        seed: same seed, same LoRA (on a CPU).
        out: a .safetensors file in diffusers' format.

    Raises:
        PriorError: if the loss is not a number.
        WeightsError: if LPIPS shall compare how pictures look and its weights are not here.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # accelerate keeps one state a process and would refuse a second training of another precision.
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=config.precision)
    torch.manual_seed(seed)
    learning = begin_lora(prior.unet, config.rank, ADAPTER, config.layers)
    distance = distance_of(prior, config)
    prior.prompt = scene_prompt(prior)
    optimizer = torch.optim.AdamW(learning, lr=config.learning_rate, weight_decay=1e-4)
    side = config.side_px or painted_side(prior, pictures)
    count = config.batch * max(prior.native_px // side, 1) ** 2
    learned = [picture for place, picture in enumerate(pictures) if place % HELD_OUT_EVERY]
    exam = held_out_tasks(prior, pictures[::HELD_OUT_EVERY], config, count, side)
    yield Noted(STAGE, f"learning from {len(learned)} photos, measured on {len(pictures) - len(learned)} others")
    first = best = held_out_loss(prior, exam, config, distance)
    course: list[Task] = []
    weights, worse, step = copy.deepcopy(learning), 0, 0
    while step < config.steps and worse < config.patience:
        rng, generator = draws(seed, step)
        if len(course) < config.course:
            lesson = draw_lesson(learned, config.lessons, count, side, rng)
            course.append(prepared(prior, lesson, config, prompted=rng.random() >= config.no_prompt_share))
        task = course[step % config.course]
        with accelerator.autocast():
            loss = task_loss(prior, task, generator, config, distance)
        if not torch.isfinite(loss):
            raise diverged(STAGE, step, config.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min((step + 1) / WARMUP_STEPS, 1 - step / config.steps)
        optimizer.zero_grad()
        accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        step += 1
        values = {"loss": float(loss.detach())}
        if step % config.check_every == 0 or step == config.steps:
            values["held_out"] = held_out_loss(prior, exam, config, distance)
            worse += 1
            if values["held_out"] < best:
                best, weights, worse = values["held_out"], copy.deepcopy(learning), 0
        yield Progressed(STAGE, step, config.steps, values)
    with torch.no_grad():
        for parameter, kept in zip(learning, weights, strict=True):
            parameter.copy_(kept)
    prior.unet.requires_grad_(False)
    save_lora(prior.unet, ADAPTER, out)
    yield Measured(STAGE, {"held_out_before": first, "held_out_after": best, "steps": float(step)})
    yield Saved(STAGE, "LoRA of the scene", out)
    return out


def recall(prior: LatentInpaintingPrior, file: Path) -> None:
    """Gives the prior what an earlier `customize` wrote.

    Raises:
        PriorError: if the file is no LoRA of this prior's denoiser.
    """
    add_lora(prior.unet, file, ADAPTER)
    prior.prompt = scene_prompt(prior)


def scene_prompt(prior: LatentInpaintingPrior) -> str:
    """What a prior that reads text is asked for once it knows the scene."""
    return f"{SCENE_PROMPT}, {prior.prompt}".removesuffix(", ") if prior.reads_text else prior.prompt


@torch.no_grad()
def prepared(prior: LatentInpaintingPrior, lesson: Lesson, config: CustomizeConfig, prompted: bool = True) -> Task:
    """Encodes a lesson. A cell has no weight as soon as one of its pixels is not taught."""
    query = PriorQuery(lesson.images, lesson.holes, None if prompted else "", layout=lesson.layout)
    stride = prior.codec.stride
    allowed = 1 - to_cells(1 - lesson.taught, stride)
    weight = allowed * torch.where(to_cells(lesson.holes, stride) > 0.5, 1.0, config.known_weight)
    clean = prior.codec.encode(lesson.images)
    return Task(clean, prior.condition(query), weight.to(clean), lesson)


def distance_of(prior: LatentInpaintingPrior, config: CustomizeConfig) -> Distance | None:
    """What compares how estimates look, if anything does.

    Raises:
        WeightsError: if it is to be LPIPS and its weights are not here.
    """
    if config.perceptual_weight == 0:
        return None
    match config.looks:
        case "codec":
            return CodecDistance(prior.codec)
        case "vgg":
            return Lpips("vgg").to(next(prior.unet.parameters()).device)


def task_loss(
    prior: LatentInpaintingPrior, task: Task, generator: torch.Generator, config: CustomizeConfig, distance: Distance | None
) -> Tensor:
    """The weighted mean of the denoiser's error where its sampler passes, and how some estimates look where they are taught.

    A prior of many steps is asked at random noise levels. One of few steps is asked where it stops on its way, and from the
    second stop on of what it said at the first, since that is what it will see; and what it says last is what will be looked
    at.
    """
    count, device = len(task.clean), task.clean.device
    decoded = max(round(config.perceptual_share * count), 1)
    noise = torch.randn(task.clean.shape, generator=generator).to(task.clean)
    if prior.max_steps is None:
        t = draw_levels(count, len(prior.noise), config.pure_noise_share, generator).to(device)
        guess, few = None, torch.randperm(count, generator=generator)[:decoded].to(device)
    else:
        t = stops(prior.noise.timesteps(prior.max_steps), count, config.pure_noise_share, generator).to(device)
        guess, few = first_guess(prior, task, noise, t), torch.arange(count - decoded, count, device=device)
    error, estimate = prior.training_error(task.clean, noise, t, task.given, guess)
    loss = (error * task.weight).sum() / task.weight.sum().clamp_min(1e-6)
    if distance is None:
        return loss
    lesson = task.lesson
    images, taught = lesson.images[few], (lesson.holes * lesson.taught)[few]
    latents = torch.where(task.weight[few] == 1, estimate[few], task.clean[few])
    painted = painted_pictures(prior.codec, latents, images, taught, lesson.layout)
    return loss + config.perceptual_weight * decoded_loss(distance, painted, images, taught)


def stops(levels: Sequence[int], count: int, pure_noise_share: float, generator: torch.Generator) -> Int[Tensor, " v"]:
    """Of a sampler's noise levels, the noisiest first, that one for a share of the pictures and others for the rest."""
    drawn = [0] * (round(pure_noise_share * count) if len(levels) > 1 else count)
    later = torch.randint(1, max(len(levels), 2), (count - len(drawn),), generator=generator)
    return torch.tensor([levels[place] for place in [*drawn, *later.sort().values.tolist()]])


@torch.no_grad()
def first_guess(
    prior: LatentInpaintingPrior, task: Task, noise: Float[Tensor, "v c hl wl"], t: Int[Tensor, " v"]
) -> Float[Tensor, "v c hl wl"]:
    """The task's latents, with what the prior says of pure noise where it has holes, for pictures at a lower level."""
    first = torch.full_like(t, len(prior.noise) - 1)
    said = prior.denoise(noise, first, task.given, guidance=1.0).clean
    unknown = to_cells(task.lesson.holes, prior.codec.stride).to(said) > 0.5
    return torch.where(unknown & (t < first)[:, None, None, None], said, task.clean)


def painted_side(prior: LatentInpaintingPrior, pictures: Sequence[KnownPicture]) -> int:
    """The side at which the largest square that all pictures hold is painted."""
    short = min(min(picture.image.shape[2:]) for picture in pictures)
    side = min(max(short, prior.smallest_px), prior.native_px)
    return working_shape(Box(0, 0, short, short), side, prior.codec.stride * CELLS)[0]


def held_out_tasks(
    prior: LatentInpaintingPrior, pictures: Sequence[KnownPicture], config: CustomizeConfig, count: int, side: int
) -> list[Task]:
    """Single pictures with holes that measure what was learned."""
    rng, single = np.random.default_rng(0), replace(config.lessons, pair_share=0.0)
    return [prepared(prior, draw_lesson(pictures, single, count, side, rng), config) for _ in range(HELD_OUT_BATCHES)]


@torch.no_grad()
def held_out_loss(
    prior: LatentInpaintingPrior, exam: Sequence[Task], config: CustomizeConfig, distance: Distance | None
) -> float:
    """Mean loss, always with the same noise at the same levels."""
    generator = torch.Generator().manual_seed(0)
    return float(np.mean([float(task_loss(prior, task, generator, config, distance)) for task in exam]))
