"""Splats fitted to photos: what a reconstruction is made of, with or without the object in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.events import Events, Noted
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.exposures import Exposures
from splatpaint.fit.loop import LoopConfig, optimize
from splatpaint.fit.near_floaters import NearFloaters
from splatpaint.fit.parameters import LearningRates, SplatParameters
from splatpaint.fit.plane_sweep import swept_points
from splatpaint.fit.samplers import Example, halved, view_of_step
from splatpaint.fit.seeding import round_splats, spacing
from splatpaint.objectives.build import ObjectiveConfig, build_objectives
from splatpaint.objectives.photometric import PhotometricConfig
from splatpaint.objectives.shape import ShapeConfig
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import PointCloud
from splatpaint.streams import generator

RATES = LearningRates(means=6.4e-4, scales=1.5e-2, shN=5e-4)
"""Adam step sizes of a reconstruction of a few thousand steps. (3DGS: a quarter, a third and a quarter, in 30,000 steps.)"""
INITIAL_OPACITY = 0.5
MAX_INITIAL_SCALE = 0.1
"""Standard deviation as a share of the distance from the nearest camera: bounds the splats of stray points."""
COARSE_SHARE = 0.33
"""Share of the steps, the first, that see the photos at half their size: they cost less, and large things are learned first."""
COARSE_LEAST_PX = 80
"""Longer side below which no photo is halved."""


@dataclass(frozen=True)
class ReconstructConfig:
    """The photometric fit of all usable pixels."""

    RENAMED: ClassVar[dict[str, str]] = {
        "veil": "reconstruct.near_floater_depth",
        "apart": "",
        "background_only_share": "",
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
    locate_share: float = 0.3
    """Share of the steps that are taken before, at half the resolution and with the object in the scene, to locate it (see
    stages/locate.py). The reconstruction then never sees its pixels."""
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
        if not 0 < self.locate_share <= 1:
            raise ConfigError(f"locate_share is {self.locate_share}, expected a share above 0, up to 1")


def fit_photos(
    points: PointCloud,
    photos: Photos,
    rasterizer: Rasterizer,
    config: ReconstructConfig,
    *,
    stage: str,
    seed: int,
    occluded: Mapping[str, Bool[Tensor, "1 1 _ _"]] | None = None,
    coarse: bool = False,
    checkpoint: Path | None = None,
) -> Events[Splats]:
    """Splats fitted to the usable pixels of photos.

    Args:
        points: where they start.
        photos: all of them supervise.
        rasterizer: any.
        config: see there.
        stage: whose events they are.
        seed: same seed, same splats (on a CPU, bit for bit).
        occluded: pixels by name of the photo that never count.
        coarse: whether all steps see the photos at half their size, and not the first alone.
        checkpoint: where the state is kept every now and then; continued from if it exists.
    """
    hidden = {} if occluded is None else occluded
    swept = swept_points((without(photo, hidden) for photo in photos), points)
    parameters = SplatParameters(seed_splats(photos, swept, config), RATES)
    yield Noted(stage, f"{len(photos)} photos, {len(points.positions)} points, {len(parameters)} splats to start from")
    torch.manual_seed(seed)  # splats that are split draw from torch's own stream
    yield from optimize(
        parameters,
        [PhotoSampler(photos, config, seed, occluded=occluded, coarse=coarse)],
        build_objectives(config.objectives, prior=None, device=photos.device, seed=seed),
        rasterizer,
        LoopConfig(steps=config.steps, calmed_by="the weights in reconstruct.objectives"),
        stage=stage,
        density=Density(config.density, parameters, near_floaters=near_floaters_of(photos, points, config)),
        exposures=Exposures(len(photos), photos.device) if config.exposures else None,
        checkpoint=checkpoint,
    )
    return parameters.splats(parameters.sh_degree).detach()


class PhotoSampler:
    """Whole photos, in another random order every epoch; the first steps see them at half their size."""

    def __init__(
        self,
        photos: Photos,
        config: ReconstructConfig,
        seed: int,
        *,
        occluded: Mapping[str, Bool[Tensor, "1 1 _ _"]] | None = None,
        coarse: bool = False,
    ) -> None:
        """
        Args:
            photos: to be shown.
            config: says what is behind the splats.
            seed: of order and backgrounds.
            occluded: pixels by name of the photo that do not count.
            coarse: whether all steps see the photos at half their size.
        """
        self.photos, self.config, self.seed, self.coarse = photos, config, seed, coarse
        self.occluded = {} if occluded is None else occluded

    def __call__(self, step: int) -> Example:
        """See `Sampler`."""
        example = self._whole(step)
        coarse = self.coarse or step <= COARSE_SHARE * self.config.steps
        large = max(example.cameras.width, example.cameras.height) >= 2 * COARSE_LEAST_PX
        return halved(example) if coarse and large else example

    def _whole(self, step: int) -> Example:
        number = view_of_step(step, len(self.photos), self.seed)
        photo = without(self.photos[number], self.occluded)
        background = background_of_step(step, self.config, self.seed, self.photos.device)
        nothing = torch.zeros_like(photo.usable)
        return Example(photo.camera, photo.image, photo.usable, nothing, photo=number, background=background)


def without(photo: Photo, occluded: Mapping[str, Bool[Tensor, "1 1 _ _"]]) -> Photo:
    """The photo, none of its occluded pixels usable; they are given by name of the photo."""
    if photo.name not in occluded:
        return photo
    return replace(photo, usable=photo.usable * ~occluded[photo.name])


def seed_splats(photos: Photos, points: PointCloud, config: ReconstructConfig) -> Splats:
    """One splat a point, as large as the gap to its neighbors."""
    eyes = torch.cat([view.camera.centers for view in photos.views]).to(points.positions)
    bound = MAX_INITIAL_SCALE * torch.cdist(points.positions, eyes).amin(dim=1)
    return round_splats(
        points.positions,
        points.colors.float() / 255,
        spacing(points.positions).minimum(bound).clamp_min(1e-6),
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
