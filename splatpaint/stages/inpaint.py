"""Fills the holes with splats that look, from every view, like what the prior would paint.

The kept splats are frozen and the fill is a second set, so nothing outside the holes can change by construction. A round
repaints the hole of every view from the current rendering, at a noise level that falls from round to round, and then fits the
fill to all of them at once: what the views disagree on averages out, what they agree on stays and is sharpened by the next
round (the dataset update of Instruct-NeRF2NeRF, with the square-root schedule of MALD-NeRF).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from splatpaint.events import Events, Measured, Noted, Progressed
from splatpaint.fit.checkpoint import load_checkpoint, save_checkpoint
from splatpaint.fit.fill_seeds import SeedConfig, Surroundings, seed_fill
from splatpaint.fit.loop import Example, LoopConfig, optimize
from splatpaint.fit.parameters import LearningRates, SplatParameters
from splatpaint.fit.photos import Photos
from splatpaint.image.region import Box, bounding_box
from splatpaint.masks.lift import Ballot, lift
from splatpaint.objectives.perceptual import Perceptual, PerceptualConfig
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.objectives.shape import Shape, ShapeConfig
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.scene.views import Capture
from splatpaint.stages.reconstruct import view_of_step
from splatpaint.stages.remove import Removal

STAGE = "inpaint"


@dataclass(frozen=True)
class InpaintConfig:
    """How the holes are painted."""

    rounds: int = 4
    """Repaint and fit this many times."""
    steps: int = 300
    """Training steps a round."""
    strength_first: float = 1.0
    """Noise level of the first round's repainting, 1 = pure noise."""
    strength_last: float = 0.2
    denoise_steps: int = 6
    """Sampler steps from pure noise; a weaker round takes fewer in proportion."""
    views: int = 32
    """At most this many views, evenly spread over those with a hole, are painted and fitted."""
    context: float = 0.25
    """Views are trained in a window around their hole, grown by this share of its size on each side."""
    sh_degree: int = 0
    """View dependence is where a fill hides disagreement between views; 0 forbids it."""
    min_inside: float = 0.3
    """Fill splats go, before the training and after it, that paint less than this share of their pixels into holes: a seed that
    looks right from afar may stand before the lens of a nearer camera."""
    seed: SeedConfig = field(default_factory=SeedConfig)
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    """Around the holes the rendering shall stay what the kept splats show, or what the photo does where they were torn; in them
    it shall be as painted. A pixel loss blurs where views disagree (see objectives/perceptual): let holes count less if the
    prior paints much detail."""
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    rates: LearningRates = field(
        default_factory=lambda: LearningRates(means=2e-5, means_final=2e-6, scales=2e-3, opacities=2e-2)
    )


@dataclass(frozen=True, eq=False)
class Window:
    """The part of a view around its hole that is trained."""

    view: int
    box: Box
    behind: Int[Tensor, " m"]
    """Indices of the kept splats that show in the window."""


def inpaint(
    capture: Capture,
    removal: Removal,
    prior: Prior,
    rasterizer: Rasterizer,
    config: InpaintConfig,
    *,
    device: torch.device,
    seed: int,
    checkpoint: Path | None = None,
) -> Events[Splats]:
    """The fill alone; draw it together with `removal.kept`. Empty if there is nothing to fill.

    Args:
        capture: the views that `removal` was made from.
        removal: kept splats and holes.
        prior: paints.
        rasterizer: any.
        config: see there.
        device: where everything happens.
        seed: same seed, same fill (on a CPU, bit for bit).
        checkpoint: where the fill is kept after every round; continued from if it exists.
    """
    with torch.no_grad():
        views = surroundings(capture, removal, rasterizer, device)
        fill = seed_fill(views, rasterizer, config.seed, sh_degree=config.sh_degree)
    fill = fill[~astray(fill, removal.kept, views, rasterizer, config)]
    if len(fill) == 0:
        yield Noted(STAGE, "every pixel behind the object was seen from elsewhere: nothing to paint")
        return fill
    yield Noted(
        STAGE, f"{sum(bool(view.hole.any()) for view in views)} views have holes, {len(fill)} splats seeded to fill them"
    )
    windows = choose_windows(views, removal.kept, rasterizer, config)
    parameters = SplatParameters(fill, config.rates)
    objectives = [
        Photometric(config.photometric),
        Perceptual(config.perceptual, prior.codec),
        Shape(config.shape),
    ]
    done = 0
    if checkpoint is not None and (state := load_checkpoint(checkpoint, device)) is not None:
        parameters.restore(state["parameters"])
        done = state["round"]
    for number in range(done, config.rounds):
        examples = yield from repaint(
            views, windows, removal.kept, parameters, prior, rasterizer, config, number=number, seed=seed
        )

        def sample(step: int, examples: Sequence[Example] = examples, number: int = number) -> Example:
            return examples[view_of_step(step + number * config.steps, len(examples), seed)]

        yield from optimize(
            parameters,
            sample,
            objectives,
            rasterizer,
            LoopConfig(steps=config.steps),
            stage=f"{STAGE} {number + 1}/{config.rounds}",
        )
        if checkpoint is not None:
            save_checkpoint(checkpoint, {"round": number + 1, "parameters": parameters.state()})
    fill = parameters.splats(config.sh_degree).detach()
    fill = fill[~astray(fill, removal.kept, views, rasterizer, config)]
    yield Measured(STAGE, {"fill": float(len(fill)), "views": float(len(windows))})
    return fill


def surroundings(capture: Capture, removal: Removal, rasterizer: Rasterizer, device: torch.device) -> list[Surroundings]:
    """Every supervising view without the object: the photo beside it, the kept splats where it was, and where neither knows."""
    result = []
    for photo, hole in zip(Photos(capture.views, device), removal.holes, strict=True):
        bare = rasterizer(removal.kept, photo.camera)
        trusted = photo.usable * (1 - hole.covered)
        image = photo.image * trusted + bare.color.clamp(0, 1) * (1 - trusted)
        result.append(Surroundings(photo.camera, image, hole.hole, hole.torn, bare.depth, bare.alpha))
    return result


@torch.no_grad()
def choose_windows(views: Sequence[Surroundings], kept: Splats, rasterizer: Rasterizer, config: InpaintConfig) -> list[Window]:
    """Windows around the holes of views spread evenly over all that have one."""
    holed = [index for index, view in enumerate(views) if view.open.any()]
    count = min(config.views, len(holed))
    chosen = [holed[round(place * (len(holed) - 1) / max(count - 1, 1))] for place in range(count)]
    windows = []
    for index in chosen:
        view = views[index]
        box = bounding_box(view.open[0], grow=config.context)
        assert box is not None, "the view was chosen because it has a hole"
        radii = rasterizer(kept, view.camera.cropped(box.left, box.top, box.width, box.height)).radii[0]
        windows.append(Window(index, box, torch.nonzero(radii > 0)[:, 0]))
    return windows


def repaint(
    views: Sequence[Surroundings],
    windows: Sequence[Window],
    kept: Splats,
    parameters: SplatParameters,
    prior: Prior,
    rasterizer: Rasterizer,
    config: InpaintConfig,
    *,
    number: int,
    seed: int,
) -> Events[list[Example]]:
    """What each window shall look like next: the current rendering, noised and denoised by the prior inside the hole."""
    scene = concatenate([kept, parameters.splats(config.sh_degree).detach()])
    strength = strength_of_round(number, config)
    examples = []
    for place, window in enumerate(windows):
        view = views[window.view]
        generator = torch.Generator().manual_seed((seed * 1009 + number) * 100_003 + window.view)
        with torch.no_grad():
            current = rasterizer(scene, view.camera).color.clamp(0, 1)
            painted = paint(
                prior,
                PriorQuery(images=view.image, holes=view.hole),
                start=current,
                strength=strength,
                steps=max(1, round(config.denoise_steps * strength)),
                generator=generator,
            )
            behind = kept[window.behind]
            camera = view.camera.cropped(window.box.left, window.box.top, window.box.width, window.box.height)
            hole = window.box.crop(view.hole)
            unchanged = rasterizer(behind, camera).color.clamp(0, 1)
        filled = window.box.crop(view.open)
        target = window.box.crop(painted) * filled + unchanged * (1 - filled)
        examples.append(Example(camera, target, torch.ones_like(hole), hole, behind))
        yield Progressed(f"{STAGE} {number + 1}/{config.rounds}: repaint", place + 1, len(windows), {"strength": strength})
    return examples


def strength_of_round(number: int, config: InpaintConfig) -> float:
    """Noise level of a round (from 0): falls with the square root of the rounds done (MALD-NeRF, sec. 3)."""
    share = (number / max(config.rounds - 1, 1)) ** 0.5
    return config.strength_first - (config.strength_first - config.strength_last) * share


def astray(
    fill: Splats, kept: Splats, views: Sequence[Surroundings], rasterizer: Rasterizer, config: InpaintConfig
) -> Bool[Tensor, " n"]:
    """Fill splats that show mainly outside the holes, or nowhere."""
    scene = concatenate([kept, fill])
    ballots = (Ballot(view.camera, view.open, view.open, torch.ones_like(view.open)) for view in views)
    votes = lift(scene, ballots, rasterizer)[len(kept) :]
    return votes.inside <= config.min_inside * votes.total
