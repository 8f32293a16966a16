"""Fills the holes with splats that look, from every view, like what the prior would paint.

The kept splats are frozen and the fill is a second set; where it spills over what photos show, it is taken back (see leash.py).
Only the boundary learns with the fill: kept splats that show right around a hole were fitted together with the object, and the
photos show there what they should look like without it. A round paints the hole of every view and then fits fill and boundary to
all of them at once: what the views disagree on averages out, and what the object hid in one view is learned from those that show
it, so the next round paints beside better surroundings. With a noise level that falls from round to round, a round begins from
the current rendering instead, and sharpens what the views agree on (the dataset update of Instruct-NeRF2NeRF, with the
square-root schedule of MALD-NeRF).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.events import Events, Measured, Noted
from splatpaint.fill.boundary import boundary_splats
from splatpaint.fill.config import STAGE, InpaintConfig, name_of_round, seed_of_round
from splatpaint.fill.crops import Window, choose_crops
from splatpaint.fill.novel_views import NovelViews
from splatpaint.fill.preservation import PreservationConstraint
from splatpaint.fill.seeding import Guide, add_occluded_holes, seed_fill
from splatpaint.fill.targets import generate_targets
from splatpaint.fill.unobserved import complete
from splatpaint.fill.views import ObservedView
from splatpaint.fit.checkpoint import load_checkpoint, save_checkpoint
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.loop import LoopConfig, optimize
from splatpaint.fit.parameters import SplatParameters
from splatpaint.fit.samplers import Example, view_of_step
from splatpaint.masks.lift import MaskedView, lift
from splatpaint.masks.removal import Removal
from splatpaint.objectives.adversarial import Adversarial
from splatpaint.objectives.disparity import Disparity
from splatpaint.objectives.distill import Distill
from splatpaint.objectives.perceptual import Perceptual
from splatpaint.objectives.photometric import Photometric
from splatpaint.objectives.protocol import Objective
from splatpaint.objectives.shape import Shape
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.depth import DepthPrior
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.scene.views import Capture

MIN_ALPHA = 0.1
"""Where the kept splats are fainter than this, they say nothing about color."""
GROW_EVERY = 50
"""Steps between two times that a fill grows, if it may."""


@dataclass(frozen=True, eq=False)
class Round:
    """What the steps of one round look at: windows as they were painted, or a sample from a new pose."""

    number: int
    """From 0."""
    windows: Sequence[Window]
    targets: Sequence[Tensor]
    """By window, (1, 3, hb, wb), each of its own size."""
    guides: Sequence[Tensor | None]
    """By window; disparity that a network sees in the target."""
    novel: NovelViews
    frozen: Splats
    parameters: SplatParameters
    """Rim and fill, as they are."""
    boundary: int
    """So many are the boundary."""
    config: InpaintConfig
    seed: int

    @property
    def loop(self) -> LoopConfig:
        """This round's part of the training."""
        steps, rounds = self.config.steps, self.config.rounds
        begin, end = self.number / rounds, (self.number + 1) / rounds
        return LoopConfig(steps=steps, sh_every=0.0, begin=begin, end=end, seed=seed_of_round(self.seed, self.number))

    def example(self, step: int) -> Example:
        """The example of a step, counted from 1."""
        if self.novel.due():
            now = self.parameters.splats(self.parameters.sh_degree)
            progress = (self.number + step / self.config.steps) / self.config.rounds
            sample = self.novel.example(step, progress, self.frozen, now, self.boundary)
            if sample is not None:
                return sample
        place = view_of_step(step + self.number * self.config.steps, len(self.windows), self.seed)
        window = self.windows[place]
        behind = self.frozen[window.behind]
        return Example(window.camera, self.targets[place], window.weight, window.hole, behind=behind, guide=self.guides[place])


def inpaint(
    capture: Capture,
    removal: Removal,
    prior: Prior,
    rasterizer: Rasterizer,
    config: InpaintConfig,
    *,
    device: torch.device,
    seed: int,
    depth: DepthPrior | None = None,
    checkpoint: Path | None = None,
) -> Events[Splats]:
    """The finished scene: the kept splats that are not of the boundary, bit for bit, then the boundary, then the fill.

    Args:
        capture: the views that `removal` was made from.
        removal: kept splats and holes.
        prior: paints.
        rasterizer: any.
        config: see there.
        device: where everything happens.
        seed: same seed, same fill (on a CPU, bit for bit).
        depth: guesses the shape of what is painted; without it surfaces are continued smoothly.
        checkpoint: where the trained splats are kept after every round; continued from if it exists.
    """
    with torch.no_grad():
        views = surroundings(capture, removal, rasterizer, device)
        photographed = [view.camera for view in views]
        completed = complete(views, removal.kept, rasterizer, config.unseen, most=config.views)
        views, kept = telling(completed.views), completed.kept
    if not any(view.open.any() for view in completed.views):
        yield Noted(STAGE, "every pixel was seen by some photo: nothing to paint")
        return removal.kept
    fill = kept[:0]
    if any(view.open.any() for view in views):
        guide = hint_from_prior(prior, depth, seed) if depth is not None else None
        fill = seed_fill(views, rasterizer, config.seed, boundary_px=config.boundary_px, sh_degree=kept.sh_degree, guide=guide)
        fill = fill[~misplaced_fill(fill, kept, views, rasterizer, config)]
    views = telling(add_occluded_holes(fill, views, rasterizer, config.seed))
    if len(fill) == 0 or not any(view.open.any() for view in views):
        yield Noted(STAGE, "no photo tells where the surface in the holes may be: they stay open", "warning")
        return removal.kept
    yield Noted(
        STAGE, f"{sum(bool(view.hole.any()) for view in views)} views have holes, {len(fill)} splats seeded to fill them"
    )
    boundary = boundary_splats(kept, views, rasterizer, config)
    frozen = kept[~boundary]
    count = int(boundary.sum())
    leash = PreservationConstraint(kept[boundary], frozen, views, rasterizer, config) if config.leash else None
    windows = choose_crops(views, kept, frozen, fill, rasterizer, config)
    center = fill.means.median(dim=0).values
    parameters = SplatParameters(concatenate([kept[boundary], fill]), config.rates)
    critic = Adversarial(config.adversarial, device, seed) if config.adversarial.weight else None
    objectives = [*objectives_of(config, prior, guided=depth is not None), *([critic] if critic is not None else [])]
    done = 0
    if checkpoint is not None and (state := load_checkpoint(checkpoint, device)) is not None:
        parameters.restore(state["parameters"])
        if critic is not None:
            critic.restore(state["critic"])
        done = state["round"]
    for number in range(done, config.rounds):
        torch.manual_seed(seed_of_round(seed, number))  # splats that are split draw from torch's own stream
        scene = concatenate([frozen, parameters.splats(parameters.sh_degree).detach()])
        targets = yield from generate_targets(views, windows, scene, prior, rasterizer, config, number=number, seed=seed)
        guides = tuple(depth(target) if depth is not None else None for target in targets)
        novel = NovelViews(photographed, center, prior, rasterizer, config.novel, seed=seed_of_round(seed, number))
        this = Round(number, windows, targets, guides, novel, frozen, parameters, count, config, seed)
        room = DensityConfig(max_splats=count + round(config.growth * len(fill)), every=GROW_EVERY)
        yield from optimize(
            parameters,
            this.example,
            objectives,
            rasterizer,
            this.loop,
            stage=name_of_round(number, config),
            density=Density(room, parameters, settled=count) if config.growth > 1 else None,
            boundary=count,
        )
        if leash is not None:
            parameters.assign(leash.revert_leaks(parameters.splats(parameters.sh_degree).detach()))
        if config.novel.share and not novel.samples:
            yield Noted(STAGE, "from no new pose enough of the fill was seen: none was learned from", "warning")
        if checkpoint is not None:
            state = {"round": number + 1, "parameters": parameters.state()}
            save_checkpoint(checkpoint, state if critic is None else {**state, "critic": critic.state()})
    trained = parameters.splats(parameters.sh_degree).detach()
    bare, fill = concatenate([frozen, trained[:count]]), trained[count:]
    trained = concatenate([trained[:count], fill[~misplaced_fill(fill, bare, views, rasterizer, config)]])
    if leash is not None:
        trained = leash.cut(trained)
    yield Measured(STAGE, {"fill": float(len(trained) - count), "boundary": float(count), "views": float(len(windows))})
    return concatenate([frozen, trained])


def objectives_of(config: InpaintConfig, prior: Prior, *, guided: bool) -> list[Objective]:
    """What is minimized, but for the critic, which has a state."""
    objectives: list[Objective] = [
        Photometric(config.known, "known"),
        Photometric(config.painted, "painted"),
        Shape(config.shape),
    ]
    if config.perceptual.weight:
        objectives.append(Perceptual(config.perceptual, prior.codec))
    if guided:
        objectives.append(Disparity(config.disparity))
    if config.distill.weight:
        objectives.append(Distill(config.distill, prior))
    return objectives


def surroundings(capture: Capture, removal: Removal, rasterizer: Rasterizer, device: torch.device) -> list[ObservedView]:
    """Every supervising view without the object: the photo beside it, the kept splats where it was, and where neither knows."""
    result = []
    for photo, hole in zip(Photos(capture.views, device), removal.holes, strict=True):
        bare = rasterizer(removal.kept, photo.camera)
        trusted = photo.usable * (1 - hole.covered)
        behind = bare.color / bare.alpha.clamp_min(MIN_ALPHA)  # as it would look if nothing shone through
        image = torch.lerp(behind.clamp(0, 1), photo.image, trusted)
        result.append(ObservedView(photo.camera, image, trusted, hole.hole, hole.torn, bare.depth, bare.alpha))
    return result


def telling(views: Sequence[ObservedView]) -> list[ObservedView]:
    """Without views that are blind from edge to edge, as close-ups of the object may be: nothing is known to paint beside."""
    return [view for view in views if not view.blind.all()]


def hint_from_prior(prior: Prior, depth: DepthPrior, seed: int) -> Guide:
    """Tells the disparity that is seen in a view once it is painted."""

    def guide(view: ObservedView) -> Float[Tensor, "1 1 h w"]:
        generator = torch.Generator().manual_seed(seed)
        return depth(paint(prior, PriorQuery(view.image, view.blind), steps=1, generator=generator))

    return guide


def misplaced_fill(
    fill: Splats, kept: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer, config: InpaintConfig
) -> Bool[Tensor, " n"]:
    """Fill splats that show mainly where photos show something else, or nowhere, in a scene with the kept ones."""
    scene = concatenate([kept, fill])
    masked_views = (MaskedView(view.camera, view.open, view.open, torch.maximum(view.open, view.seen)) for view in views)
    votes = lift(scene, masked_views, rasterizer)[len(kept) :]
    return votes.inside <= config.min_inside * votes.total
