"""Photos to splats, the object still in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

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
from splatpaint.masks.selection import RemoveConfig, masked_view, object_of
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.frames import in_world
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, PointCloud, spread
from splatpaint.stages.exposures import with_exposures

STAGE = "reconstruct"
ADOPTED_VIEWS = 8
"""Adopted splats are compared with so many photos."""
FOREIGN_DB = 15.0
"""Adopted splats that are farther from the photos than this are hardly theirs."""


@dataclass(frozen=True)
class ReconstructConfig:
    """The photometric fit of all usable pixels."""

    init_ply: str | None = None
    """Splats of the scene, in the frame of the capture's poses: taken as they are, nothing is fitted."""
    steps: int = 2000
    sh_degree: int = 2
    """0 to 3. Degree 2 costs half the memory of 3 and is as good on a few dozen views."""
    initial_opacity: float = 0.5
    max_initial_scale: float = 0.1
    """World units (the median viewing depth is 1): bounds the splats of stray points."""
    veil: float = 0.25
    """Splats nearer before a camera than this share of the depth of the nearest points in its frame are dropped (see
    fit/near_floaters.py); 0: none."""
    apart: float = 0.4
    """For this share of the steps, the last, every other one looks at the scene without the object (fit/background_only.py)."""
    exposures: bool = True
    """Whether every photo has an exposure and a white balance of its own; the scene is as bright as they are on average."""
    background: Literal["random", "black"] = "random"
    """What is behind the splats: another color at every step, so that they must hide it; or black, and then black things may
    well be nothing at all, and what is filled in behind them shows through."""
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    rates: LearningRates = field(default_factory=LearningRates)
    density: DensityConfig = field(default_factory=DensityConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 and self.init_ply is None:
            raise ConfigError(f"steps is {self.steps}, expected at least 1")
        if not 0 <= self.sh_degree <= 3:
            raise ConfigError(f"sh_degree is {self.sh_degree}, expected 0 to 3")
        if not 0 <= self.veil < 1:
            raise ConfigError(f"veil is {self.veil}, expected a share from 0 to below 1")
        if self.apart < 0 or self.apart + self.density.stop > 1:
            raise ConfigError(
                f"apart is {self.apart}, expected a share from 0 to {1 - self.density.stop:g}: it begins when no splats are"
                f" added any more (density.stop is {self.density.stop})"
            )


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The scene as the photos show it, and how each of them shows it."""

    splats: Splats
    exposures: Mapping[str, Exposure]
    """By name of a view that supervises; empty if all are taken to be exposed alike."""


def reconstruct(
    capture: Capture,
    rasterizer: Rasterizer,
    config: ReconstructConfig,
    *,
    device: torch.device,
    seed: int,
    removing: RemoveConfig | None = None,
    checkpoint: Path | None = None,
) -> Events[Reconstruction]:
    """Splats fitted to the capture's views, in the capture's world.

    Pixels under an ignore mask never count; pixels under a fill mask do, since the object must be there to be found and
    removed. Held-out views are measured, not learned.

    Args:
        capture: photos and where splats may start.
        rasterizer: any.
        config: see there.
        device: where everything happens.
        seed: same seed, same splats (on a CPU, bit for bit).
        removing: how the object under the fill masks will be told, so that the scene learns to do without it; None: it stays.
        checkpoint: where the state is kept every now and then; continued from if it exists.
    """
    photos = Photos(capture.views, device)
    assert capture.points is not None, "prepare() gives every capture points"
    parameters = SplatParameters(seed_splats(capture.points, config).to(device), config.rates)
    yield Noted(STAGE, f"{len(photos)} photos, {len(parameters)} points to start from")

    apart = None
    if removing is not None and config.apart:
        together = config.steps - round(config.apart * config.steps)
        apart = BackgroundOnlySteps(lambda splats: object_of(splats, photos, rasterizer, removing), together)

    def sample(step: int) -> Example:
        number = view_of_step(step, len(photos), seed)
        photo = photos[number]
        nowhere, behind = torch.zeros_like(photo.usable), background_of_step(step, config, seed, device)
        whole = Example(photo.camera, photo.image, photo.usable, nowhere, photo=number, background=behind)
        if removing is None or apart is None or not apart.alone(step):
            return whole
        clear = photo.usable * (1 - masked_view(photo, removing).mask)
        return replace(whole, weight=clear, hidden=apart.object(parameters.splats(parameters.sh_degree)))

    torch.manual_seed(seed)
    yield from optimize(
        parameters,
        sample,
        [Photometric(config.photometric)],
        rasterizer,
        LoopConfig(steps=config.steps),
        stage=STAGE,
        density=Density(config.density, parameters, veils=near_floaters_of(photos, capture.points, config)),
        exposures=Exposures(len(photos), device) if config.exposures else None,
        apart=apart,
        checkpoint=checkpoint,
    )
    splats = parameters.splats(parameters.sh_degree).detach()
    result = Reconstruction(splats, exposures_of(splats, photos, rasterizer) if config.exposures else {})
    if capture.held_out:
        judged = Photos(with_exposures(capture, result.exposures).held_out, device)
        yield Measured(STAGE, held_out_psnr(splats, judged, rasterizer))
    return result


@torch.no_grad()
def adopt(
    file: Path, capture: Capture, rasterizer: Rasterizer, config: ReconstructConfig, *, device: torch.device
) -> Events[Reconstruction]:
    """Splats that another tool fitted, or an earlier run, brought into the capture's world; measured against its photos.

    Args:
        file: .ply, .splat or .safetensors, in the frame of the capture's poses.
        capture: gives the frame and the photos.
        rasterizer: any.
        config: says whether photos have exposures.
        device: where the splats shall be.

    Raises:
        FormatError: if the file holds no splats.
    """
    splats, broken = drop_nonfinite(in_world(read_splats(file), capture.world_from_input))
    if len(splats) == 0:
        raise FormatError(f"{file} holds no splats")
    if broken:
        yield Noted(STAGE, f"{broken} splats of {file} have numbers that are not finite, and were dropped", "warning")
    splats = splats.to(device)
    exposures = exposures_of(splats, Photos(capture.views, device), rasterizer) if config.exposures else {}
    shown = held_out_psnr(splats, Photos(spread(capture.views, ADOPTED_VIEWS), device), rasterizer).get("held_out_psnr")
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
        spacing(points.positions).clamp(1e-6, config.max_initial_scale),
        opacity=config.initial_opacity,
        sh_degree=config.sh_degree,
    )


def near_floaters_of(photos: Photos, points: PointCloud, config: ReconstructConfig) -> NearFloaters:
    """What would be a veil before one of the photos."""
    return NearFloaters([photo.camera for photo in photos], points.positions.to(photos.device), config.veil)


def background_of_step(step: int, config: ReconstructConfig, seed: int, device: torch.device) -> Float[Tensor, " 3"] | None:
    """What is behind the splats in a step; depends on nothing but step, config and seed."""
    match config.background:
        case "black":
            return None
        case "random":
            return torch.rand(3, generator=torch.Generator().manual_seed(seed * 1_000_003 + step)).to(device)


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
