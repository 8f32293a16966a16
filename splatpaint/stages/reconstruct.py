"""Photos to splats, the object still in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import ConfigError, FormatError
from splatpaint.events import Events, Measured, Noted
from splatpaint.fit.background_only import BackgroundOnlySteps
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.exposures import Exposures, exposures_of
from splatpaint.fit.loop import LoopConfig, optimize
from splatpaint.fit.near_floaters import NearFloaters
from splatpaint.fit.parameters import LearningRates, SplatParameters
from splatpaint.fit.samplers import Example, view_of_step
from splatpaint.fit.seeding import round_splats, spacing
from splatpaint.formats import drop_nonfinite, read_splats
from splatpaint.masks.lift import MaskedView
from splatpaint.masks.selection import RemoveConfig, masked_view, select_object
from splatpaint.objectives.build import ObjectiveConfig, build_objectives
from splatpaint.objectives.photometric import PhotometricConfig
from splatpaint.objectives.shape import ShapeConfig
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.frames import in_world
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, PointCloud, spread, with_exposures
from splatpaint.streams import generator

STAGE = "reconstruct"
RATES = LearningRates()
"""Adam step sizes of a reconstruction."""
INITIAL_OPACITY = 0.5
MAX_INITIAL_SCALE = 0.1
"""Standard deviation in world units (the median viewing depth is 1): bounds the splats of stray points."""
ADOPTED_VIEWS = 8
"""Number of photos that adopted splats are compared with."""
FOREIGN_DB = 15.0
"""Adopted splats that are farther from the photos than this are hardly theirs."""


@dataclass(frozen=True)
class ReconstructConfig:
    """The photometric fit of all usable pixels."""

    RENAMED: ClassVar[dict[str, str]] = {
        "veil": "reconstruct.near_floater_depth",
        "apart": "reconstruct.background_only_share",
        "photometric": "reconstruct.objectives, the one of kind: photometric",
        "initial_opacity": "",
        "max_initial_scale": "",
        "rates": "",
    }

    init_ply: str | None = None
    """Splats of the scene, in the frame of the capture's poses: taken as they are, nothing is fitted."""
    steps: int = 2000
    """Training steps."""
    sh_degree: int = 2
    """0 to 3. Degree 2 costs half the memory of 3 and is as good on a few dozen views."""
    near_floater_depth: float = 0.25
    """Splats nearer before a camera than this share of the depth of the nearest points in its frame are dropped (see
    fit/near_floaters.py). 0: none; lower it where cameras pass close by things without points."""
    background_only_share: float = 0.4
    """Share of the steps, the last, of which every other one trains the background without the object, so that removal leaves
    no artifacts (see fit/background_only.py)."""
    exposures: bool = True
    """Whether every photo has an exposure and a white balance of its own; the scene is as bright as they are on average."""
    background: Literal["random", "black"] = "random"
    """Color behind the splats: another at every step, so that they must be opaque; or black, and then black things may be
    left transparent, and what is filled in behind them shows through."""
    objectives: tuple[ObjectiveConfig, ...] = (PhotometricConfig(),)
    """What the training minimizes: photometric and shape terms."""
    density: DensityConfig = field(default_factory=DensityConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 and self.init_ply is None:
            raise ConfigError(f"steps is {self.steps}, expected at least 1")
        for each in self.objectives:
            if not isinstance(each, PhotometricConfig | ShapeConfig):
                raise ConfigError(
                    f"objectives: {each.kind} compares holes with what a prior painted, and a reconstruction has none: "
                    "put it into inpaint.objectives"
                )
        if not 0 <= self.sh_degree <= 3:
            raise ConfigError(f"sh_degree is {self.sh_degree}, expected 0 to 3")
        if not 0 <= self.near_floater_depth < 1:
            raise ConfigError(f"near_floater_depth is {self.near_floater_depth}, expected a share from 0 to below 1")
        if self.background_only_share < 0 or self.background_only_share + self.density.stop > 1:
            raise ConfigError(
                f"background_only_share is {self.background_only_share}, expected a share from 0 to {1 - self.density.stop:g}:"
                f" it begins when no splats are added any more (density.stop is {self.density.stop})"
            )


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The scene as the photos show it, and how each of them shows it."""

    splats: Splats
    exposures: Mapping[str, Exposure]
    """By name of a view that supervises; empty if all are taken to be exposed alike."""
    contradicting: tuple[str, ...] = ()
    """Names of the views whose poses contradict the others', once that is known (see fit/contradicting_views.py)."""


def reconstruct(
    capture: Capture,
    photos: Photos,
    rasterizer: Rasterizer,
    config: ReconstructConfig,
    *,
    seed: int,
    removing: RemoveConfig | None = None,
    checkpoint: Path | None = None,
) -> Events[Reconstruction]:
    """Splats fitted to the capture's views, in the capture's world.

    Pixels under an ignore mask never count; pixels under a fill mask do, since the object must be there to be found and
    removed. Held-out views are measured, not learned.

    Args:
        capture: where splats may start, and what is held out.
        photos: of the capture's supervising views.
        rasterizer: any.
        config: see there.
        seed: same seed, same splats (on a CPU, bit for bit).
        removing: how the masks will select the object, so that the background is trained without it; None: it stays.
        checkpoint: where the state is kept every now and then; continued from if it exists.
    """
    assert capture.points is not None, "prepare() gives every capture points"
    parameters = SplatParameters(seed_splats(capture.points, config).to(photos.device), RATES)
    yield Noted(STAGE, f"{len(photos)} photos, {len(parameters)} points to start from")
    background_only, masks = None, None
    if removing is not None and config.background_only_share:
        masks = [masked_view(photo, removing) for photo in photos]
        select = partial(select_object, views=masks, rasterizer=rasterizer, config=removing)
        background_only = BackgroundOnlySteps(select, config.steps - round(config.background_only_share * config.steps))
    torch.manual_seed(seed)
    yield from optimize(
        parameters,
        [PhotoSampler(photos, parameters, config, seed, background_only, masks)],
        build_objectives(config.objectives, prior=None, device=photos.device, seed=seed),
        rasterizer,
        LoopConfig(steps=config.steps),
        stage=STAGE,
        density=Density(config.density, parameters, near_floaters=near_floaters_of(photos, capture.points, config)),
        exposures=Exposures(len(photos), photos.device) if config.exposures else None,
        background_only=background_only,
        checkpoint=checkpoint,
    )
    splats = parameters.splats(parameters.sh_degree).detach()
    result = Reconstruction(splats, exposures_of(splats, photos, rasterizer) if config.exposures else {})
    if capture.held_out:
        judged = photos.of(with_exposures(capture, result.exposures).held_out)
        yield Measured(STAGE, held_out_psnr(splats, judged, rasterizer))
    return result


class PhotoSampler:
    """Whole photos, in another random order every epoch."""

    def __init__(
        self,
        photos: Photos,
        parameters: SplatParameters,
        config: ReconstructConfig,
        seed: int,
        background_only: BackgroundOnlySteps | None = None,
        masks: Sequence[MaskedView] | None = None,
    ) -> None:
        """
        Args:
            photos: to be shown.
            parameters: the trained splats.
            config: says what is behind the splats.
            seed: of order and backgrounds.
            background_only: the steps that hide the object.
            masks: of the photos, for these steps.
        """
        self.photos, self.parameters, self.config, self.seed = photos, parameters, config, seed
        self.background_only, self.masks = background_only, masks

    def __call__(self, step: int) -> Example:
        """See `Sampler`."""
        number = view_of_step(step, len(self.photos), self.seed)
        photo = self.photos[number]
        background = background_of_step(step, self.config, self.seed, self.photos.device)
        whole = Example(
            photo.camera, photo.image, photo.usable, torch.zeros_like(photo.usable), photo=number, background=background
        )
        if self.background_only is None or self.masks is None or not self.background_only.includes(step):
            return whole
        outside = photo.usable * ~self.masks[number].mask
        hidden = self.background_only.object(self.parameters.splats(self.parameters.sh_degree))
        return replace(whole, weight=outside, hidden=hidden)


@torch.no_grad()
def adopt(
    file: Path, capture: Capture, photos: Photos, rasterizer: Rasterizer, config: ReconstructConfig
) -> Events[Reconstruction]:
    """Splats that another tool fitted, or an earlier run, brought into the capture's world; measured against its photos.

    Args:
        file: .ply, .splat or .safetensors, in the frame of the capture's poses.
        capture: gives the frame.
        photos: of its supervising views.
        rasterizer: any.
        config: says whether photos have exposures.

    Raises:
        FormatError: if the file holds no splats.
    """
    splats, broken = drop_nonfinite(in_world(read_splats(file), capture.world_from_input))
    if len(splats) == 0:
        raise FormatError(f"{file} holds no splats")
    if broken:
        yield Noted(STAGE, f"{broken} splats of {file} have numbers that are not finite, and were dropped", "warning")
    splats = splats.to(photos.device)
    exposures = exposures_of(splats, photos, rasterizer) if config.exposures else {}
    shown = held_out_psnr(splats, photos.of(spread(capture.views, ADOPTED_VIEWS)), rasterizer).get("held_out_psnr")
    yield Noted(STAGE, f"{len(splats)} splats from {file}")
    if shown is not None:
        if shown < FOREIGN_DB:
            message = f"{file} shows the photos at only {shown:.1f} dB: are its splats in the frame of the poses?"
            yield Noted(STAGE, message, "warning")
        yield Measured(STAGE, {"adopted_psnr": shown})
    return Reconstruction(splats, exposures)


def seed_splats(points: PointCloud, config: ReconstructConfig) -> Splats:
    """One splat a sparse point, as large as the gap to its neighbors."""
    return round_splats(
        points.positions,
        points.colors.float() / 255,
        spacing(points.positions).clamp(1e-6, MAX_INITIAL_SCALE),
        opacity=INITIAL_OPACITY,
        sh_degree=config.sh_degree,
    )


def near_floaters_of(photos: Photos, points: PointCloud, config: ReconstructConfig) -> NearFloaters:
    """Finds splats that are too near to the camera of a photo."""
    cameras = [view.camera.to(photos.device) for view in photos.views]
    return NearFloaters(cameras, points.positions.to(photos.device), config.near_floater_depth)


def background_of_step(step: int, config: ReconstructConfig, seed: int, device: torch.device) -> Float[Tensor, " 3"] | None:
    """What is behind the splats in a step; depends on nothing but step, config and seed."""
    match config.background:
        case "black":
            return None
        case "random":
            return torch.rand(3, generator=generator(seed, step=step)).to(device)


@torch.no_grad()
def held_out_psnr(splats: Splats, photos: Photos, rasterizer: Rasterizer) -> dict[str, float]:
    """Mean PSNR in dB over views: of all usable pixels, and of those that no fill mask covers; neither if no view has any.

    Photos are judged as they were taken: what is rendered gets the exposure that they are given.
    """
    whole, unmasked = [], []
    for view, photo in zip(photos.views, photos.as_taken(), strict=True):
        rendered = view.exposure.apply(rasterizer(splats, photo.camera).color).clamp(0, 1)
        squared = (rendered - photo.image).square().mean(dim=1, keepdim=True)
        for scores, weight in ((whole, photo.usable), (unmasked, photo.usable * (1 - photo.fill))):
            if weight.any():
                mse = (squared * weight).sum() / weight.sum()
                scores.append(float(-10 * torch.log10(mse.clamp_min(1e-10))))
    means = {"held_out_psnr": whole, "held_out_psnr_unmasked": unmasked}
    return {name: sum(scores) / len(scores) for name, scores in means.items() if scores}
