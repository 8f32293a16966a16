"""A whole run: capture, reconstruction, removal, fill. A stage whose product is in the run folder is skipped."""

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from splatpaint.capture import prepare
from splatpaint.errors import BackendError, MaskError, PriorError
from splatpaint.events import Events, Measured, Product, Saved, Skipped
from splatpaint.fill.unobserved import unseen_cameras
from splatpaint.formats import check_splats, read_splats, write_splats
from splatpaint.image.files import read_mask, write_mask
from splatpaint.image.perceptual import find_trunk
from splatpaint.masks.removal import Hole, Removal, untouched
from splatpaint.priors.customize import load_customization
from splatpaint.priors.depth import find_depth, load_depth
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import find_prior, load_prior, predicts_noise
from splatpaint.render.pick import pick_rasterizer
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture
from splatpaint.stages import customize, inpaint, reconstruct, remove
from splatpaint.stages.config import RunConfig
from splatpaint.stages.exposures import read_exposures, with_exposures, write_exposures
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.pictures import before_after, draw_unseen


def run(capture: Path, folder: RunFolder, config: RunConfig) -> Events[Splats]:
    """Everything from photos to the filled scene; the product is kept and fill splats together.

    Raises:
        SplatpaintError: whatever the user can mend, before anything is written where possible.
    """
    device = pick_device(config.device)
    if config.reconstruct.init_ply is not None:
        check_splats(Path(config.reconstruct.init_ply).expanduser())
    torch.manual_seed(config.seed)
    rasterizer = pick_rasterizer(config.rasterizer, device)
    prepared = yield from timed("capture", prepare(capture, config.capture, cache=folder.stage("capture")))
    if not (masked(prepared) or config.inpaint.unseen.asked):
        raise MaskError(
            f"no image of {capture} has a mask, so there is nothing to remove: put white-on-black masks with the images' names "
            f"into {capture / 'masks'} (or give --masks), or have what no photo shows completed (configs/complete.yaml)"
        )
    if not folder.finished:
        check(prepared, config)
    splats, exposures = yield from _reconstructed(prepared, folder, rasterizer, config, device)
    prepared = with_exposures(prepared, exposures)
    removal = yield from _removed(splats, prepared, folder, rasterizer, config, device)
    scene = yield from _inpainted(removal, prepared, folder, rasterizer, config, device)
    yield from before_after(folder, prepared, rasterizer, device=device)
    if config.inpaint.unseen.asked:
        cameras = unseen_cameras([view.camera.to(device) for view in prepared.views], config.inpaint.unseen)
        out = folder.stage("pictures") / "unseen.png"
        yield from draw_unseen(cameras, kept=removal.kept, filled=scene, rasterizer=rasterizer, out=out)
    return scene


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
    if config.prior.lora is not None and not Path(config.prior.lora).expanduser().is_file():
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


def _reconstructed(
    capture: Capture, folder: RunFolder, rasterizer: Rasterizer, config: RunConfig, device: torch.device
) -> Events[tuple[Splats, Mapping[str, Exposure]]]:
    product = folder.splats(reconstruct.STAGE)
    if product.exists():
        yield Skipped(reconstruct.STAGE, product)
        return read_splats(product).to(device), read_exposures(folder.stage(reconstruct.STAGE))
    checkpoint = folder.stage(reconstruct.STAGE) / "checkpoint.pt"
    if config.reconstruct.init_ply is not None:
        file = Path(config.reconstruct.init_ply).expanduser()
        fit = reconstruct.adopt(file, capture, rasterizer, config.reconstruct, device=device)
    else:
        fit = reconstruct.reconstruct(
            capture,
            rasterizer,
            config.reconstruct,
            device=device,
            seed=config.seed,
            removing=config.remove if masked(capture) else None,
            checkpoint=checkpoint,
        )
    found = yield from timed(reconstruct.STAGE, fit)
    write_exposures(folder.stage(reconstruct.STAGE), found.exposures)
    # Last: that this file exists says that the stage is done.
    write_splats(product, found.splats)
    checkpoint.unlink(missing_ok=True)
    return found.splats, found.exposures


def _removed(
    splats: Splats, capture: Capture, folder: RunFolder, rasterizer: Rasterizer, config: RunConfig, device: torch.device
) -> Events[Removal]:
    product = folder.splats(remove.STAGE)
    if product.exists():
        yield Skipped(remove.STAGE, product)
        return _read_removal(folder, capture, device)
    if masked(capture):
        removal = yield from timed(remove.STAGE, remove.remove(splats, capture, rasterizer, config.remove, device=device))
    else:
        removal = untouched(splats, capture)
    for hole in removal.holes:
        for kind, mask in (("covered", hole.covered), ("holes", hole.hole), ("torn", hole.torn)):
            write_mask(_hole_file(folder, kind, hole.name), mask[0].cpu())
    # Last: that this file exists says that the stage is done.
    write_splats(product, removal.kept)
    yield Saved(remove.STAGE, "holes", folder.stage(remove.STAGE) / "holes")
    return removal


def _inpainted(
    removal: Removal,
    capture: Capture,
    folder: RunFolder,
    rasterizer: Rasterizer,
    config: RunConfig,
    device: torch.device,
) -> Events[Splats]:
    product = folder.splats(inpaint.STAGE)
    if product.exists():
        yield Skipped(inpaint.STAGE, product)
        return read_splats(product).to(device)
    checkpoint = folder.stage(inpaint.STAGE) / "checkpoint.pt"
    prior = yield from _customized(capture, folder, config, device)
    depth = load_depth(config.depth, device)
    scene = yield from timed(
        inpaint.STAGE,
        inpaint.inpaint(
            capture,
            removal,
            prior,
            rasterizer,
            config.inpaint,
            device=device,
            seed=config.seed,
            depth=depth,
            checkpoint=checkpoint,
        ),
    )
    write_splats(product, scene)
    checkpoint.unlink(missing_ok=True)
    return scene


def _customized(capture: Capture, folder: RunFolder, config: RunConfig, device: torch.device) -> Events[LatentInpaintingPrior]:
    prior = load_prior(config.prior, device)
    if config.customize.steps == 0:
        return prior
    product = folder.stage(customize.STAGE) / "lora.safetensors"
    if product.exists():
        yield Skipped(customize.STAGE, product)
        load_customization(prior, product)
        return prior
    learning = customize.customize(capture, prior, config.customize, device=device, seed=config.seed, out=product)
    yield from timed(customize.STAGE, learning)
    return prior


def _read_removal(folder: RunFolder, capture: Capture, device: torch.device) -> Removal:
    holes = tuple(
        Hole(
            view.name,
            *(read_mask(_hole_file(folder, kind, view.name))[None].to(device) for kind in ("covered", "holes", "torn")),
        )
        for view in capture.views
    )
    return Removal(read_splats(folder.splats(remove.STAGE)).to(device), holes)


def _hole_file(folder: RunFolder, kind: str, view: str) -> Path:
    return folder.stage(remove.STAGE) / kind / f"{view}.png"
