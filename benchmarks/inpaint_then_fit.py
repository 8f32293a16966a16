"""Methods that inpaint each photo separately and then fit a scene to the inpainted photos."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.capture_writer import Frame, write_capture
from benchmarks.nerf import NerfConfig, draw_nerf, fit_nerf
from benchmarks.nerfacto import fit_nerfacto
from benchmarks.protocol import Draw, Drawn, Fitted
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import drain
from splatpaint.fit.density import Density
from splatpaint.fit.exposures import Exposures, exposures_of
from splatpaint.fit.loop import LoopConfig, optimize
from splatpaint.fit.parameters import SplatParameters
from splatpaint.fit.photos import RATES, PhotoSampler, near_floaters_of, seed_splats
from splatpaint.fit.plane_sweep import swept_points
from splatpaint.fit.samplers import Example
from splatpaint.formats import read_splats, write_splats
from splatpaint.image.files import read_image, read_mask
from splatpaint.objectives.perceptual import Perceptual, PerceptualConfig
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.priors.crops import inpaint
from splatpaint.priors.load import load_prior
from splatpaint.priors.protocol import Codec, PriorQuery
from splatpaint.render.pick import pick_rasterizer
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.frames import in_input_frame
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, Similarity, View
from splatpaint.stages.config import RunConfig
from splatpaint.stages.exposures import read_exposures, write_exposures
from splatpaint.stages.folder import RunFolder, is_run
from splatpaint.stages.reconstruct import Reconstruction, reconstruct
from splatpaint.stages.run import pick_device

TELEA_RADIUS_PX = 5

Inpainter = Callable[[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"], int], Float[Tensor, "1 3 h w"]]
"""Function from image, hole and view index to the inpainted image."""


@dataclass(frozen=True)
class Telea2d:
    """Telea inpainting of each photo, without a scene."""

    def fit(self, _task: Path, _work: Path, _config: RunConfig, _scored_views: Sequence[View], /) -> Fitted:
        """See `Method`; photos are inpainted when drawn, and the time is reported as 0."""

        def draw(view: View) -> Drawn:
            assert view.fill_mask is not None
            filled = telea(read_image(view.image)[None], read_mask(view.fill_mask)[None], 0)
            return Drawn(filled, torch.zeros_like(filled[:, :1]))

        return Fitted(draw, 0.0)


@dataclass(frozen=True)
class InpaintThenFit:
    """Splats fitted to inpainted photos."""

    painter: Literal["telea", "diffusion"]
    perceptual: bool = False
    """Whether filled pixels are matched by features of the prior's codec instead of by color."""

    def fit(self, task: Path, work: Path, config: RunConfig, _scored_views: Sequence[View], /) -> Fitted:
        """See `Method`."""
        folder = work / (self.painter + "-perceptual" * self.perceptual)
        product = folder / "splats.safetensors"
        device = pick_device(config.device)
        given = drain(prepare(task, config.capture, cache=folder / "cache"))
        if not product.exists():
            start = time.perf_counter()
            filled = folder / "filled"
            inpaint_photos(filled, given, telea if self.painter == "telea" else prior_inpainter(config, device))
            capture = drain(prepare(filled, supervising_only(config.capture), cache=folder / "cache-filled"))
            rasterizer = pick_rasterizer(config.rasterizer, device)
            photos = Photos(capture.views, device)
            holes = [photo.fill for photo in Photos(given.views, device)]
            if self.perceptual:
                codec = load_prior(config.prior, device).codec
                found = fit_in_features(capture, holes, codec, rasterizer, config, device)
            else:
                found = drain(reconstruct(capture, photos, rasterizer, config.reconstruct, seed=config.seed))
            if found.exposures:
                found = replace(found, exposures=exposures_beside(holes, found.splats, photos, rasterizer))
            (folder / "seconds").write_text(str(time.perf_counter() - start))
            write_exposures(folder, found.exposures)
            write_splats(product, in_input_frame(found.splats, capture.world_from_input))
        return Fitted(
            draw_splats(read_splats(product), read_exposures(folder), config), float((folder / "seconds").read_text())
        )


def exposures_beside(
    holes: Sequence[Float[Tensor, "1 1 _ _"]], splats: Splats, photos: Photos, rasterizer: Rasterizer
) -> dict[str, Exposure]:
    """The exposures of the photos as taken: their holes, painted one by one, say nothing of the light."""
    beside = (replace(photo, usable=photo.usable * (1 - hole)) for photo, hole in zip(photos, holes, strict=True))
    return exposures_of(splats, beside, rasterizer)


def fit_in_features(
    capture: Capture,
    holes: list[Float[Tensor, "1 1 _ _"]],
    codec: Codec,
    rasterizer: Rasterizer,
    config: RunConfig,
    device: torch.device,
) -> Reconstruction:
    """`reconstruct`, with the holes matched by features only (as in MALD-NeRF's row "full + LPIPS")."""
    wanted = config.reconstruct
    photos = Photos(capture.views, device)
    assert capture.points is not None
    parameters = SplatParameters(seed_splats(photos, swept_points(photos, capture.points), wanted), RATES)
    whole = PhotoSampler(photos, wanted, config.seed)

    def sample(step: int) -> Example:
        example = whole(step)
        assert example.photo is not None
        return replace(example, holes=holes[example.photo])

    # A larger weight than next to a pixel loss: this is the only loss of the holes.
    features = Perceptual(PerceptualConfig(weight=0.5), codec)
    objectives = [Photometric(PhotometricConfig(pixels="observed")), features]
    torch.manual_seed(config.seed)
    fit = optimize(
        parameters,
        [sample],
        objectives,
        rasterizer,
        LoopConfig(steps=wanted.steps),
        stage="fit",
        density=Density(wanted.density, parameters, near_floaters=near_floaters_of(photos, capture.points, wanted)),
        exposures=Exposures(len(photos), device) if wanted.exposures else None,
    )
    drain(fit)
    splats = parameters.splats(parameters.sh_degree).detach()
    return Reconstruction(splats, exposures_of(splats, photos, rasterizer) if wanted.exposures else {})


@dataclass(frozen=True)
class InpaintThenNerf:
    """A NeRF fitted to photos inpainted by Telea's method (the recipe of SPIn-NeRF)."""

    kind: Literal["compact", "nerfacto"]
    """`compact` = benchmarks/nerf.py, `nerfacto` = nerfstudio's."""
    times: int = 1
    """Training time as a multiple of the total time of splatpaint."""

    def fit(self, task: Path, work: Path, config: RunConfig, scored_views: Sequence[View], /) -> Fitted:
        """See `Method`.

        Raises:
            ValueError: if `ours` has not been run, whose time is needed.
            NerfactoError: if nerfstudio does not work here.
        """
        seconds = self.times * seconds_of_ours(work)
        folder = work / f"{'nerf' if self.kind == 'compact' else 'nerfacto'}-x{self.times}"
        given = drain(prepare(task, config.capture, cache=folder / "cache"))
        inpaint_photos(folder / "filled", given, telea)
        if self.kind == "nerfacto":
            write_frames(folder / "judged", scored_views, given, telea)
            poses = folder / "judged" / "transforms.json"
            names = [view.name for view in scored_views]
            fitted = fit_nerfacto(folder / "filled", poses, folder / "drawn", names=names, seconds=seconds, seed=config.seed)
            return Fitted(lambda view: Drawn(fitted.color(view.name), fitted.depth(view.name)), fitted.seconds)
        capture = drain(prepare(folder / "filled", supervising_only(config.capture), cache=folder / "cache-filled"))
        device = pick_device(config.device)
        field = fit_nerf(capture, NerfConfig(seconds=seconds), seed=config.seed, device=device)
        world = capture.world_from_input

        def draw(view: View) -> Drawn:
            # The filled capture's input frame is the world of the given one.
            color, depth = draw_nerf(field, in_world(view.camera, world).to(device))
            return Drawn(color.cpu(), depth.cpu() / world.scale)

        return Fitted(draw, seconds)


def run_of_ours(work: Path) -> RunFolder:
    """The run of splatpaint for the same task and seed.

    Raises:
        ValueError: if that run is missing or not finished.
    """
    if not (is_run(work / "run") and (run := RunFolder.read(work / "run")).finished):
        raise ValueError("NeRFs get the seconds that ours took, and ours-telea its removal: run ours before them")
    return run


def seconds_of_ours(work: Path) -> float:
    """Seconds that splatpaint took for the same task and seed.

    Raises:
        ValueError: if that run is missing or not finished.
    """
    return sum(stage.get("seconds") or 0.0 for stage in run_of_ours(work).metrics.values())


def in_world(camera: Cameras, world_from_input: Similarity) -> Cameras:
    """A camera of the input frame, transformed to the normalized world."""
    pose = camera.cam_from_world.clone()
    center = world_from_input.apply(camera.centers)
    pose[:, :3, 3] = -(pose[:, :3, :3] @ center[:, :, None])[:, :, 0]
    return replace(camera, cam_from_world=pose)


def draw_splats(splats: Splats, exposures: Mapping[str, Exposure], config: RunConfig) -> Draw:
    """Draws views of splats, with the exposures of their photos where known."""
    device = pick_device(config.device)
    rasterizer, splats = pick_rasterizer(config.rasterizer, device), splats.to(device)

    @torch.no_grad()
    def draw(view: View) -> Drawn:
        rendered = rasterizer(splats, view.camera.to(device))
        color = exposures.get(view.name, Exposure()).apply(rendered.color)
        return Drawn(color.clamp(0, 1).cpu(), rendered.depth.cpu())

    return draw


def inpaint_photos(folder: Path, capture: Capture, paint: Inpainter) -> None:
    """Writes a capture of the inpainted photos that supervise: no masks, the cameras and points of the given capture, in its
    world. Held-out photos are not in it, so nothing that is fitted to it can have seen them."""
    write_frames(folder, sorted(capture.views, key=lambda view: view.name), capture, paint)


def supervising_only(config: CaptureConfig) -> CaptureConfig:
    """The settings for reading what `inpaint_photos` wrote, of which nothing is held out any more."""
    return replace(config, test_every=0)


def write_frames(folder: Path, views: Sequence[View], capture: Capture, paint: Inpainter) -> None:
    """Writes a capture of these views of a capture, inpainted."""
    shutil.rmtree(folder, ignore_errors=True)

    def frames() -> Iterator[Frame]:
        for number, view in enumerate(views):
            assert view.fill_mask is not None
            filled = paint(read_image(view.image)[None], read_mask(view.fill_mask)[None], number)
            yield Frame(view.name, view.camera, filled[0])

    assert capture.points is not None
    write_capture(folder, frames(), capture.points)


def telea(image: Float[Tensor, "1 3 h w"], hole: Float[Tensor, "1 1 h w"], _number: int) -> Float[Tensor, "1 3 h w"]:
    """Inpainting by fast marching (Telea 2004, OpenCV's implementation)."""
    import cv2

    pixels = image[0].permute(1, 2, 0).mul(255).round().byte().contiguous().numpy()
    filled = cv2.inpaint(pixels, hole[0, 0].byte().numpy(), TELEA_RADIUS_PX, cv2.INPAINT_TELEA)
    return torch.from_numpy(filled).permute(2, 0, 1)[None] / 255


def prior_inpainter(config: RunConfig, device: torch.device) -> Inpainter:
    """Inpainting with the prior of the run, from pure noise, each view separately."""
    prior = load_prior(config.prior, device)

    @torch.no_grad()
    def paint(image: Float[Tensor, "1 3 h w"], hole: Float[Tensor, "1 1 h w"], number: int) -> Float[Tensor, "1 3 h w"]:
        query = PriorQuery(images=image.to(device), holes=hole.to(device))
        generator = torch.Generator().manual_seed(config.seed * 1009 + number)
        return inpaint(prior, query, strength=1.0, steps=config.inpaint.denoise_steps, generator=generator).cpu()

    return paint
