"""The methods that the removal benchmark compares, all behind one small protocol.

delete      splatpaint's own removal, nothing painted: the splats that are left
telea-2d    cv2.inpaint (Telea) on every photo by itself; no scene at all, so its views need not agree with each other
telea       the same filled photos, then splats fitted to them: what a user gets who fills first and reconstructs after
diffusion   every photo filled by the same prior as ours, each by itself, then splats fitted to them (the naive approach)
nerf        the photos filled by Telea, then a NeRF (benchmarks/nerf.py) in place of splats, for as long as ours takes in all:
            the recipe of SPIn-NeRF
ours        splatpaint
ours-PART   splatpaint without a part, see `ABLATIONS`
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.nerf import NerfConfig, draw_nerf, fit_nerf
from splatpaint.capture import prepare
from splatpaint.capture.writer import Frame, write_capture
from splatpaint.config import from_tree, override, to_tree
from splatpaint.events import drain
from splatpaint.formats import read_splats, write_splats
from splatpaint.image.files import read_image, read_mask
from splatpaint.priors.crops import inpaint
from splatpaint.priors.load import load_prior
from splatpaint.priors.protocol import PriorQuery
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, Similarity, View
from splatpaint.stages.config import RunConfig
from splatpaint.stages.export import in_input_frame
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.reconstruct import reconstruct
from splatpaint.stages.run import pick_device, run

TELEA_RADIUS_PX = 5
ABLATIONS = {
    "perceptual": "inpaint.perceptual.weight=0.0",
    "rounds": "inpaint.rounds=1",
    "shape": "inpaint.shape.smoothness=0.0",
    "witnesses": "remove.holes.min_views=1000000",
}
"""What `ours-PART` sets: no perceptual distance, no dataset update, no smooth depth, holes wherever the object was."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A method's picture of a view."""

    color: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth; 0 where there is none to speak of."""


Draw = Callable[[View], Drawn]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a method made of a task."""

    draw: Draw
    seconds: float
    """All the work it took, interruptions and shared parts counted in once."""


Painter = Callable[[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"], int], Float[Tensor, "1 3 h w"]]
"""Image, hole and number of the view to filled image."""


class Method(Protocol):
    """Takes an object out of a capture."""

    def fit(self, task: Path, work: Path, config: RunConfig, /) -> Fitted:
        """Works in `work`, continuing there after an interruption.

        Args:
            task: a capture with masks.
            work: the task's folder, shared by all methods of one seed.
            config: what every method reconstructs with.
        """
        ...


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: if there is none.
    """
    match name.split("-", 1):
        case ["delete"]:
            return Ours(stage="remove")
        case ["ours"]:
            return Ours()
        case ["ours", part] if part in ABLATIONS:
            return Ours(part=part)
        case ["telea", "2d"]:
            return Telea2d()
        case ["telea"]:
            return FillThenFit("telea")
        case ["nerf"]:
            return FillThenNerf()
        case ["diffusion"]:
            return FillThenFit("diffusion")
    raise ValueError(f"no method is called {name!r}")


@dataclass(frozen=True)
class Ours:
    """splatpaint, whole or in part."""

    stage: str = "inpaint"
    part: str | None = None
    """What is left out."""

    def fit(self, task: Path, work: Path, config: RunConfig, /) -> Fitted:
        """See `Method`; reconstruction is shared with the run that lacks nothing."""
        folder, shared = work / "run", None
        if self.part is not None:
            shared, folder = folder, work / f"run-{self.part}"
            config = from_tree(RunConfig, override(to_tree(config), ABLATIONS[self.part]))
        with RunFolder.open(folder, task, config, resume=True) as opened:
            if shared is not None and (shared / "reconstruct").exists() and not opened.splats("reconstruct").exists():
                shutil.copytree(shared / "reconstruct", folder / "reconstruct")
            scene = drain(opened.logged(run(task, opened, config)))
            splats = scene if self.stage == "inpaint" else read_splats(opened.splats("remove"))
            metrics = RunFolder.read(shared or folder).metrics | opened.metrics
            stages = ("capture", "reconstruct", "remove", *(["inpaint"] if self.stage == "inpaint" else []))
            return Fitted(drawing(splats, config), sum(metrics[stage]["seconds"] or 0.0 for stage in stages))


@dataclass(frozen=True)
class Telea2d:
    """Pictures only."""

    def fit(self, _task: Path, _work: Path, _config: RunConfig, /) -> Fitted:
        """See `Method`; the photos are filled as they are asked for, in no time to speak of."""

        def draw(view: View) -> Drawn:
            assert view.fill_mask is not None
            filled = telea(read_image(view.image)[None], read_mask(view.fill_mask)[None], 0)
            return Drawn(filled, torch.zeros_like(filled[:, :1]))

        return Fitted(draw, 0.0)


@dataclass(frozen=True)
class FillThenFit:
    """Photos are filled one by one, then splats are fitted to them as to any photos."""

    painter: str

    def fit(self, task: Path, work: Path, config: RunConfig, /) -> Fitted:
        """See `Method`."""
        folder = work / self.painter
        product = folder / "splats.safetensors"
        device = pick_device(config.device)
        given = drain(prepare(task, config.capture, cache=folder / "cache"))
        if not product.exists():
            start = time.perf_counter()
            filled = folder / "filled"
            fill_photos(filled, given, telea if self.painter == "telea" else prior_painter(config, device))
            capture = drain(prepare(filled, config.capture, cache=folder / "cache-filled"))
            rasterizer = pick_rasterizer(config.rasterizer, device)
            splats = drain(reconstruct(capture, rasterizer, config.reconstruct, device=device, seed=config.seed))
            (folder / "seconds").write_text(str(time.perf_counter() - start))
            write_splats(product, in_input_frame(splats, capture.world_from_input))
        return Fitted(drawing(read_splats(product), config), float((folder / "seconds").read_text()))


@dataclass(frozen=True)
class FillThenNerf:
    """Photos are filled one by one, then a NeRF is fitted to them for as long as splatpaint took for everything."""

    def fit(self, task: Path, work: Path, config: RunConfig, /) -> Fitted:
        """See `Method`.

        Raises:
            ValueError: if `ours` has not been run: there is no time to equal.
        """
        folder = work / "nerf"
        metrics = work / "run" / "metrics.json"
        if not metrics.exists():
            raise ValueError("nerf gets the seconds that ours took: run ours before it")
        seconds = sum(stage.get("seconds", 0.0) for stage in json.loads(metrics.read_text()).values())
        given = drain(prepare(task, config.capture, cache=folder / "cache"))
        fill_photos(folder / "filled", given, telea)
        capture = drain(prepare(folder / "filled", config.capture, cache=folder / "cache-filled"))
        device = pick_device(config.device)
        field = fit_nerf(capture, NerfConfig(seconds=seconds), seed=config.seed, device=device)
        world = capture.world_from_input

        def draw(view: View) -> Drawn:
            # The filled capture's input frame is the world of the given one.
            color, depth = draw_nerf(field, in_world(view.camera, world).to(device))
            return Drawn(color.cpu(), depth.cpu() / world.scale)

        return Fitted(draw, seconds)


def in_world(camera: Cameras, world_from_input: Similarity) -> Cameras:
    """A camera of the input frame in the normalized world: it looks the same way from where its center goes."""
    pose = camera.cam_from_world.clone()
    center = world_from_input.apply(camera.centers)
    pose[:, :3, 3] = -(pose[:, :3, :3] @ center[:, :, None])[:, :, 0]
    return replace(camera, cam_from_world=pose)


def drawing(splats: Splats, config: RunConfig) -> Draw:
    """Renders splats."""
    device = pick_device(config.device)
    rasterizer, splats = pick_rasterizer(config.rasterizer, device), splats.to(device)

    @torch.no_grad()
    def draw(view: View) -> Drawn:
        rendered = rasterizer(splats, view.camera.to(device))
        return Drawn(rendered.color.clamp(0, 1).cpu(), rendered.depth.cpu())

    return draw


def fill_photos(folder: Path, capture: Capture, paint: Painter) -> None:
    """Writes a capture of the filled photos: no masks, the same cameras and points, in the world of the capture given."""
    shutil.rmtree(folder, ignore_errors=True)

    def frames() -> Iterator[Frame]:
        for number, view in enumerate(capture.all_views):
            assert view.fill_mask is not None
            filled = paint(read_image(view.image)[None], read_mask(view.fill_mask)[None], number)
            yield Frame(view.name, view.camera, filled[0])

    assert capture.points is not None
    write_capture(folder, frames(), capture.points)


def telea(image: Float[Tensor, "1 3 h w"], hole: Float[Tensor, "1 1 h w"], _number: int) -> Float[Tensor, "1 3 h w"]:
    """Telea's fast marching (OpenCV's)."""
    import cv2

    pixels = image[0].permute(1, 2, 0).mul(255).round().byte().contiguous().numpy()
    filled = cv2.inpaint(pixels, hole[0, 0].byte().numpy(), TELEA_RADIUS_PX, cv2.INPAINT_TELEA)
    return torch.from_numpy(filled).permute(2, 0, 1)[None] / 255


def prior_painter(config: RunConfig, device: torch.device) -> Painter:
    """The run's own prior, from pure noise, each view by itself."""
    prior = load_prior(config.prior, device)

    @torch.no_grad()
    def paint(image: Float[Tensor, "1 3 h w"], hole: Float[Tensor, "1 1 h w"], number: int) -> Float[Tensor, "1 3 h w"]:
        query = PriorQuery(images=image.to(device), holes=hole.to(device))
        generator = torch.Generator().manual_seed(config.seed * 1009 + number)
        return inpaint(prior, query, strength=1.0, steps=config.inpaint.denoise_steps, generator=generator).cpu()

    return paint
