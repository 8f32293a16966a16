"""Reconstruction quality against time: held-out PSNR after fits of several lengths.

    python -m benchmarks.reconstruct CAPTURE [--max-resolution 240] [--steps 500 1000 2000 4000] [--nerfacto] [--json FILE]

Every row is a whole fit with its own schedule, since quality halfway through a long schedule says little about a short one.
Preparation (reading, undistortion, triangulation) is timed apart. Every 8th view by name, the first included, is held out and
scored whole; nothing is chosen by these scores within a run. With --nerfacto, nerfstudio's nerfacto is fitted to the same
photos and poses for as many seconds as each of our fits took (see benchmarks/nerfacto.py; skipped with a reason where it cannot
run).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.capture_writer import Frame, write_capture
from benchmarks.measure import environment, write_json
from benchmarks.nerfacto import ENVIRONMENT, NerfactoError, fit_nerfacto
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.config import load
from splatpaint.evaluation import psnr
from splatpaint.events import drain
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import Capture, with_exposures
from splatpaint.stages.reconstruct import ReconstructConfig, held_out_psnr, reconstruct


def fit(capture: Capture, config: ReconstructConfig, *, device: torch.device, seed: int) -> dict[str, float]:
    """One fit: seconds (without scoring), number of splats, held-out PSNR."""
    rasterizer = pick_rasterizer("auto", device)
    start = time.perf_counter()
    photos = Photos(capture.views, device)
    found = drain(reconstruct(replace(capture, held_out=()), photos, rasterizer, config, seed=seed))
    seconds = time.perf_counter() - start
    scores = held_out_psnr(found.splats, Photos(with_exposures(capture, found.exposures).held_out, device), rasterizer)
    return {"seconds": seconds, "splats": float(len(found.splats)), **scores}


def fit_nerf(capture: Capture, folder: Path, environment: Path, *, seconds: float, seed: int) -> dict[str, float]:
    """Seconds, steps and held-out PSNR of nerfacto.

    Raises:
        NerfactoError: if it does not work here.
    """
    assert capture.points is not None
    cpu = torch.device("cpu")
    for name, views in (("train", capture.views), ("test", capture.held_out)):
        frames = (Frame(photo.name, photo.camera, photo.image[0]) for photo in Photos(views, cpu))
        write_capture(folder / name, frames, capture.points)
    poses = folder / "test" / "transforms.json"
    fitted = fit_nerfacto(
        folder / "train",
        poses,
        folder / "drawn",
        names=[view.name for view in capture.held_out],
        seconds=seconds,
        seed=seed,
        environment=environment,
    )
    scores = [psnr(fitted.color(photo.name), photo.image, region=photo.usable) for photo in Photos(capture.held_out, cpu)]
    return {"seconds": fitted.seconds, "steps": float(fitted.steps), "held_out_psnr": float(torch.cat(scores).mean())}


def beside(capture: Capture, folder: Path, seconds: float, arguments: argparse.Namespace) -> Mapping[str, float] | str:
    """Prints and returns the scores of nerfacto for the given seconds, or the reason why it cannot run."""
    try:
        rows = [
            fit_nerf(capture, folder / str(seed), arguments.nerfacto, seconds=seconds, seed=seed) for seed in arguments.seeds
        ]
    except NerfactoError as reason:
        print(f"  nerfacto skipped: {reason}", flush=True)
        return str(reason)
    row = medians(rows)
    print(f"  nerfacto, {row['steps']:.0f} steps  {row['seconds']:.1f} s  {row['held_out_psnr']:.2f} dB", flush=True)
    return row


def medians(rows: list[dict[str, float]]) -> Mapping[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--max-resolution", type=int, nargs="+", default=[240], help="longest image side in pixels")
    parser.add_argument("--steps", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], help="as of `splatpaint fit`, relative to `reconstruct.`"
    )
    parser.add_argument(
        "--nerfacto",
        nargs="?",
        type=Path,
        const=ENVIRONMENT,
        metavar="ENVIRONMENT",
        help="the same seconds for nerfstudio's nerfacto, in a virtual environment that is made if need be",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    config = load(ReconstructConfig, overrides=arguments.settings)
    results = []
    for resolution in arguments.max_resolution:
        with tempfile.TemporaryDirectory() as cache:
            start = time.perf_counter()
            wanted = CaptureConfig(max_resolution=resolution, test_every=8)
            capture = drain(prepare(arguments.capture, wanted, cache=Path(cache)))
            prepared = time.perf_counter() - start
            size = f"{capture.views[0].camera.width}x{capture.views[0].camera.height}"
            print(f"{arguments.capture.name} at {size}: prepared in {prepared:.1f} s, {len(capture.held_out)} views held out")
            for steps in arguments.steps:
                rows = [
                    fit(capture, replace(config, steps=steps), device=torch.device(arguments.device), seed=seed)
                    for seed in arguments.seeds
                ]
                row = medians(rows)
                print(
                    f"  {steps:6d} steps  {row['seconds']:7.1f} s  {row['held_out_psnr']:6.2f} dB  {row['splats']:8.0f} splats",
                    flush=True,
                )
                result = {"size": size, "prepare_seconds": prepared, "steps": steps, **row, "seeds": len(rows)}
                if arguments.nerfacto:
                    result["nerfacto"] = beside(capture, Path(cache) / str(steps), row["seconds"], arguments)
                results.append(result)
    if arguments.json:
        record = {"capture": arguments.capture.name, "settings": arguments.settings, "rows": results}
        write_json(arguments.json, {**environment(), **record})


if __name__ == "__main__":
    main()
