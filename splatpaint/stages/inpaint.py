"""Fills the holes with splats that look, from every view, like what the prior would paint.

The kept splats are frozen and the fill is a second set, so nothing away from the holes can change by construction. Only the
rim learns with the fill: kept splats that show right around a hole were fitted together with the object, and the photos show
there what they should look like without it. A round paints the hole of every view and then fits fill and rim to all of them at
once: what the views disagree on averages out, and what the object hid in one view is learned from those that show it, so the
next round paints beside better surroundings. With a noise level that falls from round to round, a round begins from the current
rendering instead, and sharpens what the views agree on (the dataset update of Instruct-NeRF2NeRF, with the square-root schedule
of MALD-NeRF).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.events import Events, Measured, Noted, Progressed
from splatpaint.fit.checkpoint import load_checkpoint, save_checkpoint
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.fill_seeds import SeedConfig, Surroundings, seed_fill, telling_views
from splatpaint.fit.loop import Example, LoopConfig, optimize
from splatpaint.fit.parameters import LearningRates, SplatParameters
from splatpaint.fit.photos import Photos
from splatpaint.image.region import Box, bounding_box, dilate
from splatpaint.masks.lift import Ballot, lift
from splatpaint.objectives.adversarial import Adversarial, AdversarialConfig
from splatpaint.objectives.disparity import Disparity, DisparityConfig
from splatpaint.objectives.distill import Distill, DistillConfig
from splatpaint.objectives.perceptual import Perceptual, PerceptualConfig
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.objectives.protocol import Objective
from splatpaint.objectives.shape import Shape, ShapeConfig
from splatpaint.priors.cloning import cloned
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.depth import DepthPrior
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.scene.views import Capture, spread
from splatpaint.stages.novel import NovelConfig, NovelViews
from splatpaint.stages.reconstruct import view_of_step
from splatpaint.stages.references import Shown, anchor_first, reference_for, warped_for
from splatpaint.stages.remove import MIN_WEIGHT, Removal
from splatpaint.stages.unseen import UnseenConfig, complete

STAGE = "inpaint"
MIN_ALPHA = 0.1
"""Where the kept splats are fainter than this, they say nothing about color."""


GROW_EVERY = 50
"""Steps between two times that a fill grows, if it may."""


@dataclass(frozen=True)
class InpaintConfig:
    """How the holes are painted."""

    rounds: int = 2
    """Repaint and fit this many times."""
    steps: int = 600
    """Training steps a round."""
    strength_first: float = 1.0
    """Noise level of the first round's repainting, 1 = pure noise."""
    strength_last: float = 1.0
    """And of the last one's. Below 1 a round begins from the rendering and keeps what of it is wrong: measured with the bundled
    prior, painting anew, beside surroundings that have been mended since, was better. A prior that paints other things in every
    view wants less (MALD-NeRF ends at 0.02)."""
    denoise_steps: int = 6
    """Sampler steps from pure noise; a weaker round takes fewer in proportion."""
    reference: Literal["none", "beside", "warped"] = "none"
    """What is done with the view that shows most of a hole, or was painted there before (see references.py): nothing; the hole
    is painted beside it; or in the first round it is warped into the hole, and only what it does not show is painted."""
    views: int = 64
    """At most this many views, evenly spread over those with a hole, are painted and fitted."""
    context: float = 0.25
    """Views are trained in a window around their hole, grown by this share of its size on each side, at least by `rim_px`."""
    rim_px: int = 16
    """So far around the holes the photos teach the fill and the rim what is there."""
    rim_share: float = 0.8
    """A kept splat belongs to the rim if this share of what it paints is in the holes or that near to them."""
    growth: float = 1.0
    """The fill may grow to so many times its seeds, where the losses pull; 1 = no splat is added or dropped while it learns."""
    min_inside: float = 0.3
    """Fill splats go, before the training and after it, that paint less than this share of their pixels into holes: a seed that
    looks right from afar may stand before the lens of a nearer camera."""
    seed: SeedConfig = field(default_factory=SeedConfig)
    known: PhotometricConfig = field(default_factory=lambda: PhotometricConfig(holes=0.0))
    """Around the holes the rendering shall be as the photo shows it, farther away as it was."""
    painted: PhotometricConfig = field(default_factory=lambda: PhotometricConfig(known=0.0))
    """In the holes it shall be as painted. A pixel loss blurs where views disagree (see objectives/perceptual): let it count
    less if the prior paints much detail."""
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    disparity: DisparityConfig = field(default_factory=DisparityConfig)
    novel: NovelConfig = field(default_factory=NovelConfig)
    unseen: UnseenConfig = field(default_factory=UnseenConfig)
    rates: LearningRates = field(
        default_factory=lambda: LearningRates(means=2e-5, means_final=2e-6, scales=2e-3, opacities=2e-2, shN=2e-3)
    )
    """Photos differ in exposure, which only view dependence (shN) can follow. It is also where a fill hides disagreement
    between views: 0 forbids it."""

    def __post_init__(self) -> None:
        if self.growth < 1:
            raise ConfigError(f"growth is {self.growth}, expected at least 1 (no growth)")


@dataclass(frozen=True, eq=False)
class Window:
    """The part of a view around its hole that is trained."""

    view: int
    box: Box
    camera: Cameras
    behind: Int[Tensor, " m"]
    """Indices of the frozen splats that show in the window."""
    bare: Float[Tensor, "1 3 hb wb"]
    """What the kept splats show there."""
    hole: Float[Tensor, "1 1 hb wb"]
    """1 where nobody saw what is there."""
    taught: Float[Tensor, "1 1 hb wb"]
    """1 where it shall look as painted or as the photo shows it, 0 where as it was."""
    weight: Float[Tensor, "1 1 hb wb"]
    """0 around the hole where the object hid what other views show: they say how it shall look, not what was kept of it."""


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
    rim: int
    """So many are the rim."""
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
            sample = self.novel.example(step, progress, self.frozen, now, self.rim)
            if sample is not None:
                return sample
        place = view_of_step(step + self.number * self.config.steps, len(self.windows), self.seed)
        window = self.windows[place]
        behind = self.frozen[window.behind]
        return Example(window.camera, self.targets[place], window.weight, window.hole, behind, self.guides[place])


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
    """The finished scene: the kept splats that are not of the rim, bit for bit, then the rim, then the fill.

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
        views, kept = completed.views, completed.kept
        if depth is not None:
            telling = telling_views(views, config.seed)
            views = [guided(view, prior, depth, seed) if place in telling else view for place, view in enumerate(views)]
        fill = seed_fill(views, rasterizer, config.seed, sh_degree=kept.sh_degree)
    fill = fill[~astray(fill, kept, views, rasterizer, config)]
    if len(fill) == 0:
        yield Noted(STAGE, "every pixel was seen by some photo: nothing to paint")
        return removal.kept
    yield Noted(
        STAGE, f"{sum(bool(view.hole.any()) for view in views)} views have holes, {len(fill)} splats seeded to fill them"
    )
    rim = rim_of(kept, views, rasterizer, config)
    frozen = kept[~rim]
    count = int(rim.sum())
    windows = choose_windows(views, kept, frozen, fill, rasterizer, config)
    center = fill.means.median(dim=0).values
    parameters = SplatParameters(concatenate([kept[rim], fill]), config.rates)
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
        targets = yield from repaint(views, windows, frozen, parameters, prior, rasterizer, config, number=number, seed=seed)
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
            stage=f"{STAGE} {number + 1}/{config.rounds}",
            density=Density(room, parameters, settled=count) if config.growth > 1 else None,
            rim=count,
        )
        if config.novel.share and not novel.samples:
            yield Noted(STAGE, "from no new pose enough of the fill was seen: none was learned from", "warning")
        if checkpoint is not None:
            state = {"round": number + 1, "parameters": parameters.state()}
            save_checkpoint(checkpoint, state if critic is None else {**state, "critic": critic.state()})
    trained = parameters.splats(parameters.sh_degree).detach()
    scene, fill = concatenate([frozen, trained[:count]]), trained[count:]
    fill = fill[~astray(fill, scene, views, rasterizer, config)]
    yield Measured(STAGE, {"fill": float(len(fill)), "rim": float(count), "views": float(len(windows))})
    return concatenate([scene, fill])


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


def surroundings(capture: Capture, removal: Removal, rasterizer: Rasterizer, device: torch.device) -> list[Surroundings]:
    """Every supervising view without the object: the photo beside it, the kept splats where it was, and where neither knows."""
    result = []
    for photo, hole in zip(Photos(capture.views, device), removal.holes, strict=True):
        bare = rasterizer(removal.kept, photo.camera)
        trusted = photo.usable * (1 - hole.covered)
        behind = bare.color / bare.alpha.clamp_min(MIN_ALPHA)  # as it would look if nothing shone through
        image = torch.lerp(behind.clamp(0, 1), photo.image, trusted)
        result.append(Surroundings(photo.camera, image, trusted, hole.hole, hole.torn, bare.depth, bare.alpha))
    return result


def guided(view: Surroundings, prior: Prior, depth: DepthPrior, seed: int) -> Surroundings:
    """The view with the disparity that is seen in it once it is painted."""
    generator = torch.Generator().manual_seed(seed)
    painted = paint(prior, PriorQuery(view.image, view.blind), steps=1, generator=generator)
    return replace(view, guide=depth(painted))


@torch.no_grad()
def rim_of(kept: Splats, views: Sequence[Surroundings], rasterizer: Rasterizer, config: InpaintConfig) -> Bool[Tensor, " n"]:
    """The kept splats that show in the holes or right around them, and hardly anywhere else."""
    areas = (near(view, config) for view in views)
    ballots = (Ballot(view.camera, area, area, torch.ones_like(area)) for view, area in zip(views, areas, strict=True))
    votes = lift(kept, ballots, rasterizer)
    return votes.inside > config.rim_share * votes.total.clamp_min(MIN_WEIGHT)


@torch.no_grad()
def choose_windows(
    views: Sequence[Surroundings],
    kept: Splats,
    frozen: Splats,
    fill: Splats,
    rasterizer: Rasterizer,
    config: InpaintConfig,
) -> list[Window]:
    """Windows around the holes of views spread evenly over all that have one.

    Where holes are not of photos alone, photos without one get a window too if the fill shows in them: they say where it shall
    not be.
    """
    areas = {place: view.open for place, view in enumerate(views) if view.open.any()}
    if config.unseen.asked:
        for place in set(range(len(views))) - set(areas):
            shown = (rasterizer(fill, views[place].camera).alpha > MIN_ALPHA).to(views[place].open)
            if shown.any():
                areas[place] = shown
    windows = []
    for place in spread(sorted(areas), config.views):
        view = views[place]
        box = bounding_box(areas[place][0], grow=config.context, least_px=config.rim_px)
        assert box is not None, "the view was chosen because there is something in it"
        camera = view.camera.cropped(box.left, box.top, box.width, box.height)
        behind = torch.nonzero(rasterizer(frozen, camera).radii[0] > 0)[:, 0]
        bare = rasterizer(kept, camera).color.clamp(0, 1)
        around = near(view, config)
        taught = torch.maximum(view.hole, view.seen * around)
        weight = 1 - around * (1 - taught)
        windows.append(Window(place, box, camera, behind, bare, *(box.crop(each) for each in (view.hole, taught, weight))))
    return windows


def repaint(
    views: Sequence[Surroundings],
    windows: Sequence[Window],
    frozen: Splats,
    parameters: SplatParameters,
    prior: Prior,
    rasterizer: Rasterizer,
    config: InpaintConfig,
    *,
    number: int,
    seed: int,
) -> Events[list[Float[Tensor, "1 3 hb wb"]]]:
    """What each window shall look like next: in the hole the current rendering, noised and denoised by the prior."""
    scene = concatenate([frozen, parameters.splats(parameters.sh_degree).detach()])
    strength = strength_of_round(number, config)
    # After the first round the rendering holds what the views agreed on.
    reference = "none" if config.reference == "warped" and number > 0 else config.reference
    referred = reference != "none"
    shown = [shown_now(views[window.view], scene, rasterizer) for window in windows] if referred else []
    order = range(len(windows))
    if referred:
        order = anchor_first([each.camera for each in shown], [float(window.hole.sum()) for window in windows])
    targets: dict[int, Float[Tensor, "1 3 hb wb"]] = {}
    for done, place in enumerate(order, start=1):
        window = windows[place]
        view = views[window.view]
        others = [shown[each] for each in order if each != place] if referred else []
        with torch.no_grad():
            current = rasterizer(scene, view.camera).color.clamp(0, 1)
        query = PriorQuery(images=view.image, holes=view.blind)
        if number > 0:  # by now the splats have learned from other views what the object hid in this one
            told = (view.seen > 0) | (view.hole > 0)
            query = PriorQuery(images=torch.where(told, view.image, current), holes=view.hole)
        match reference:
            case "beside":
                query = replace(query, reference=reference_for(shown[place], view.hole, others))
            case "warped" if (warped := warped_for(shown[place], view.hole, others)) is not None:
                left = query.holes * torch.maximum(warped.unknown, 1 - view.hole)
                query = replace(query, images=cloned(view.image, view.hole, warped), holes=left)
        painted = paint(
            prior,
            query,
            start=current,
            strength=strength,
            steps=max(1, round(config.denoise_steps * strength)),
            generator=torch.Generator().manual_seed(seed_of_round(seed, number) * 100_003 + window.view),
        )
        if referred:
            shown[place] = replace(shown[place], image=painted, known=torch.ones_like(view.hole))
        targets[place] = torch.lerp(window.bare, window.box.crop(painted), window.taught)
        yield Progressed(f"{STAGE} {number + 1}/{config.rounds}: repaint", done, len(windows), {"strength": strength})
    return [targets[place] for place in range(len(windows))]


@torch.no_grad()
def shown_now(view: Surroundings, scene: Splats, rasterizer: Rasterizer) -> Shown:
    """A view as others may look at it before its hole is painted."""
    return Shown(view.camera, view.image, rasterizer(scene, view.camera).depth, 1 - view.blind)


def near(view: Surroundings, config: InpaintConfig) -> Float[Tensor, "1 1 h w"]:
    """1 where the fill belongs, and around that."""
    return dilate(view.open, config.rim_px)


def seed_of_round(seed: int, number: int) -> int:
    """Another one for every round of every run."""
    return seed * 1009 + number


def strength_of_round(number: int, config: InpaintConfig) -> float:
    """Noise level of a round (from 0): falls with the square root of the rounds done (MALD-NeRF, sec. 3)."""
    share = (number / max(config.rounds - 1, 1)) ** 0.5
    return config.strength_first - (config.strength_first - config.strength_last) * share


def astray(
    fill: Splats, kept: Splats, views: Sequence[Surroundings], rasterizer: Rasterizer, config: InpaintConfig
) -> Bool[Tensor, " n"]:
    """Fill splats that show mainly outside the holes, or nowhere, in a scene with the kept ones."""
    scene = concatenate([kept, fill])
    ballots = (Ballot(view.camera, view.open, view.open, torch.ones_like(view.open)) for view in views)
    votes = lift(scene, ballots, rasterizer)[len(kept) :]
    return votes.inside <= config.min_inside * votes.total
