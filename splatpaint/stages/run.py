"""A whole run: capture, reconstruction, removal, fill. A stage whose product is in the run folder is skipped."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from splatpaint.capture import inputs, prepare
from splatpaint.errors import BackendError, MaskError, PriorError
from splatpaint.events import Events, Measured, Product, Saved, Skipped
from splatpaint.fill.tools import Tools
from splatpaint.fill.unobserved import synthetic_cameras
from splatpaint.formats import check_splats, read_splats, write_splats
from splatpaint.image.perceptual import find_trunk
from splatpaint.masks.object_layer import ObjectLayer
from splatpaint.masks.removal import Removal, nothing_removed
from splatpaint.priors.customize import load_customization
from splatpaint.priors.depth import find_depth, load_depth
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import find_prior, load_prior, predicts_noise
from splatpaint.reading import expanded
from splatpaint.render.pick import pick_rasterizer
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, with_exposures
from splatpaint.stages import customize, inpaint, locate, reconstruct, remove
from splatpaint.stages.config import RunConfig
from splatpaint.stages.contradicting_views import find_contradicting, read_contradicting, without_views, write_contradicting
from splatpaint.stages.exposures import read_exposures, write_exposures
from splatpaint.stages.folder import RunFolder, SplatStage
from splatpaint.stages.holes import read_holes, read_occluded, write_holes, write_occluded
from splatpaint.stages.pictures import before_after, draw_synthetic_views
from splatpaint.stages.reconstruct import Reconstruction


@dataclass(frozen=True, eq=False)
class Run:
    """One run at work: where its products are, its settings, and what renders them."""

    folder: RunFolder
    config: RunConfig
    rasterizer: Rasterizer
    device: torch.device

    def stage_product(
        self,
        stage: SplatStage,
        *,
        read: Callable[[Path], Product],
        make: Callable[[Path], Events[Product]],
        write: Callable[[Path, Product], None],
    ) -> Events[Product]:
        """What a stage makes: read if it is there, else made and written.

        Args:
            stage: its name.
            read: the product from the stage's folder.
            make: the stage, given where it may keep a checkpoint.
            write: everything into the stage's folder, `splats.safetensors` last: that it exists says that the stage is done.
        """
        folder = self.folder.stage(stage)
        if self.folder.splats(stage).exists():
            yield Skipped(stage, self.folder.splats(stage))
            return read(folder)
        checkpoint = folder / "checkpoint.pt"
        product = yield from make(checkpoint)
        write(folder, product)
        checkpoint.unlink(missing_ok=True)
        return product


def run(capture: Path, folder: RunFolder, config: RunConfig) -> Events[Splats]:
    """Everything from photos to the filled scene; the product is kept and fill splats together.

    Raises:
        SplatpaintError: whatever the user can mend, before anything is written where possible.
    """
    device = pick_device(config.device)
    if config.reconstruct.init_ply is not None:
        check_splats(expanded(config.reconstruct.init_ply))
    torch.manual_seed(config.seed)
    context = Run(folder, config, pick_rasterizer(config.rasterizer, device), device)
    prepared = yield from timed("capture", prepare(capture, config.capture, cache=folder.stage("capture")))
    unobserved = config.inpaint.unobserved
    if not (masked(prepared) or unobserved.enabled):
        raise MaskError(
            f"no image of {capture} has a mask, so there is nothing to remove: put white-on-black masks with the images' names "
            f"into {capture / 'masks'} (or give --masks), or have what no photo shows completed (configs/complete.yaml)"
        )
    if not folder.finished:
        check(prepared, config)
    photos = Photos(prepared.views, device)
    located = yield from _located(context, prepared, photos)
    found = yield from _reconstructed(context, prepared, photos, located)
    prepared = with_exposures(prepared, found.exposures)
    agreeing = without_views(prepared, found.contradicting)
    if masked(prepared) and not masked(agreeing):
        raise MaskError(
            f"the poses of all views with masks contradict the others ({', '.join(found.contradicting)}): repair them, or mask"
            " other views too"
        )
    photos = photos.of(agreeing.views)
    removal = yield from _removed(context, found.splats, agreeing, photos, located)
    scene = yield from _inpainted(context, removal, photos)
    yield from before_after(folder, photos.of(prepared.all_views), context.rasterizer)
    if unobserved.enabled:
        cameras = synthetic_cameras([view.camera.to(device) for view in agreeing.views], unobserved)
        out = folder.stage("pictures") / "unobserved.png"
        yield from draw_synthetic_views(cameras, kept=removal.kept, filled=scene, rasterizer=context.rasterizer, out=out)
    return scene


def inputs_of(capture: Path, config: RunConfig) -> list[Path]:
    """All files that a run is made of: those of the capture (see `capture.inputs`) and the splats that it starts with.

    Raises:
        CaptureError: if the capture cannot be read.
        FormatError: if the splats are not there.
        MaskError: if its masks cannot be used.
    """
    files = inputs(capture, config.capture)
    if config.reconstruct.init_ply is None:
        return files
    file = expanded(config.reconstruct.init_ply)
    check_splats(file)
    return [*files, file]


def masked(capture: Capture) -> bool:
    """Whether anything is to be removed."""
    return any(view.fill_mask for view in capture.views)


def check(capture: Capture, config: RunConfig) -> None:
    """What would fail minutes later, as far as it can be told at once.

    Raises:
        PriorError: if a model that is named is not there, or the prior cannot learn the scene as it is asked to.
        WeightsError: if it shall learn by LPIPS and its weights are not here and cannot be had.
    """
    folder = find_prior(config.prior.name)
    if config.prior.prompt and not (folder / "text_encoder").is_dir():
        raise PriorError(
            f"the prior {config.prior.name} reads no text, so it cannot be asked for {config.prior.prompt!r}: see --prior"
        )
    if config.prior.lora is not None and not expanded(config.prior.lora).is_file():
        raise PriorError(f"the LoRA {config.prior.lora} is not there: give a .safetensors file in diffusers' format")
    find_depth(config.depth)
    if config.customize.steps:
        _check_customization(capture, config, folder)


def _check_customization(capture: Capture, config: RunConfig, prior: Path) -> None:
    """Refuses a customization that the prior or the capture does not allow."""
    customization = config.customize
    if config.prior.offload:
        raise PriorError("a prior that is offloaded cannot learn the scene: set prior.offload=false or customize.steps=0")
    if min(len(capture.views), customization.pictures) < 2:
        raise PriorError(
            "the prior learns from some photos and is measured on others: that takes two at least (customize.pictures)"
        )
    if customization.perceptual_weight and predicts_noise(prior):
        raise PriorError(
            f"the prior {config.prior.name} predicts noise, and where there is much of it that says nothing about pictures: set"
            " customize.perceptual_weight=0"
        )
    if customization.perceptual_weight and customization.perceptual_net == "vgg":
        find_trunk("vgg")


def pick_device(name: str) -> torch.device:
    """auto = a GPU where torch finds one.

    Raises:
        BackendError: if cuda was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise BackendError(
            "--device cuda was asked for, but torch finds no usable NVIDIA GPU: use --device cpu, or see `splatpaint doctor`"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def timed(stage: str, events: Events[Product]) -> Events[Product]:
    """The same events, and in the end how many seconds they took and how much memory the process has needed so far."""
    start = time.perf_counter()
    product = yield from events
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    yield Measured(stage, {"seconds": time.perf_counter() - start, "peak_memory_mb": round(peak)})
    return product


def _located(context: Run, capture: Capture, photos: Photos) -> Events[ObjectLayer | None]:
    """The object, apart from the scene; None if there is none, or if it is in splats that were fitted elsewhere."""
    config = context.config
    if not masked(capture) or config.reconstruct.init_ply is not None:
        return None

    def read(folder: Path) -> ObjectLayer:
        found = read_splats(context.folder.splats(locate.STAGE)).to(context.device)
        return ObjectLayer(found, read_occluded(folder, capture.views, context.device))

    def make(checkpoint: Path) -> Events[ObjectLayer]:
        finding = locate.locate(
            capture,
            photos,
            context.rasterizer,
            config.reconstruct,
            config.remove,
            seed=config.seed,
            checkpoint=checkpoint,
        )
        return timed(locate.STAGE, finding)

    def write(folder: Path, found: ObjectLayer) -> None:
        write_occluded(folder, found.occluded)
        write_splats(context.folder.splats(locate.STAGE), found.splats)

    return (yield from context.stage_product(locate.STAGE, read=read, make=make, write=write))


def _reconstructed(context: Run, capture: Capture, photos: Photos, located: ObjectLayer | None) -> Events[Reconstruction]:
    config = context.config.reconstruct

    def read(folder: Path) -> Reconstruction:
        splats = read_splats(context.folder.splats(reconstruct.STAGE)).to(context.device)
        return Reconstruction(splats, read_exposures(folder), read_contradicting(folder))

    def make(checkpoint: Path) -> Events[Reconstruction]:
        return timed(reconstruct.STAGE, fit_or_adopt(checkpoint))

    def fit_or_adopt(checkpoint: Path) -> Events[Reconstruction]:
        if config.init_ply is not None:
            file = expanded(config.init_ply)
            found = yield from reconstruct.adopt(file, capture, photos, context.rasterizer, config)
        else:
            found = yield from reconstruct.reconstruct(
                capture,
                photos,
                context.rasterizer,
                config,
                seed=context.config.seed,
                located=located,
                checkpoint=checkpoint,
            )
        assert capture.points is not None, "prepare() gives every capture points"
        points = capture.points.positions.to(context.device)
        names = yield from find_contradicting(found.splats, photos, points, context.rasterizer, stage=reconstruct.STAGE)
        return replace(found, contradicting=names)

    def write(folder: Path, found: Reconstruction) -> None:
        write_exposures(folder, found.exposures)
        write_contradicting(folder, found.contradicting)
        write_splats(context.folder.splats(reconstruct.STAGE), found.splats)

    return (yield from context.stage_product(reconstruct.STAGE, read=read, make=make, write=write))


def _removed(context: Run, splats: Splats, capture: Capture, photos: Photos, located: ObjectLayer | None) -> Events[Removal]:
    def read(folder: Path) -> Removal:
        kept = read_splats(context.folder.splats(remove.STAGE)).to(context.device)
        return Removal(kept, read_holes(folder, capture.views, context.device))

    def make(_checkpoint: Path) -> Events[Removal]:
        if masked(capture):
            removing = remove.remove(splats, photos, context.rasterizer, context.config.remove, located=located)
            return timed(remove.STAGE, removing)
        return nothing_to_do(nothing_removed(splats, capture))

    def write(folder: Path, removal: Removal) -> None:
        write_holes(folder, removal.holes)
        write_splats(context.folder.splats(remove.STAGE), removal.kept)

    is_new = not context.folder.splats(remove.STAGE).exists()
    removal = yield from context.stage_product(remove.STAGE, read=read, make=make, write=write)
    if is_new:
        yield Saved(remove.STAGE, "holes", context.folder.stage(remove.STAGE) / "holes")
    return removal


def _inpainted(context: Run, removal: Removal, photos: Photos) -> Events[Splats]:
    config = context.config

    def make(checkpoint: Path) -> Events[Splats]:
        prior = yield from _customized(context, photos)
        tools = Tools(prior, context.rasterizer, context.device, config.seed, load_depth(config.depth, context.device))
        fill = inpaint.inpaint(photos, removal, tools, config.inpaint, checkpoint=checkpoint)
        return (yield from timed(inpaint.STAGE, fill))

    return (
        yield from context.stage_product(
            inpaint.STAGE,
            read=lambda _: read_splats(context.folder.splats(inpaint.STAGE)).to(context.device),
            make=make,
            write=lambda _, scene: write_splats(context.folder.splats(inpaint.STAGE), scene),
        )
    )


def _customized(context: Run, photos: Photos) -> Events[LatentInpaintingPrior]:
    config = context.config
    prior = load_prior(config.prior, context.device)
    if config.customize.steps == 0:
        return prior
    product = context.folder.stage(customize.STAGE) / "lora.safetensors"
    if product.exists():
        yield Skipped(customize.STAGE, product)
        load_customization(prior, product)
        return prior
    learning = customize.customize(photos, prior, config.customize, seed=config.seed, out=product)
    yield from timed(customize.STAGE, learning)
    return prior


def nothing_to_do(product: Product) -> Events[Product]:
    """A stage that has its product already."""
    yield from ()
    return product
