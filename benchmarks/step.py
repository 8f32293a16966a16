"""What a training step costs beside its rasterization.

    python -m benchmarks.step CAPTURE [--max-resolution 480] [--steps 600] [--repeats 40] [--json FILE]

A reconstruction with its default settings; between steps of its last half, what a step consists of is repeated by itself on
the splats of that moment and one photo: rasterization (color forward, and its gradient to all splats), and the photometric loss
with its gradient, by torch and by the kernel. A step is everything from one `SceneChanged` to the next, refinements of the
splats left out. Since all alternate within one run, their ratios hold on a machine that others use too. Milliseconds of
processor time over all threads: the median, the quartiles and the best; `wall` is the median by the clock.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import environment, write_json
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import SceneChanged, drain
from splatpaint.image import photometric
from splatpaint.objectives.photometric import PhotometricConfig
from splatpaint.render.native import rasterize
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture
from splatpaint.stages.reconstruct import ReconstructConfig, reconstruct

Milliseconds = tuple[float, float]
"""Of processor time, and by the clock."""


def now() -> Milliseconds:
    return time.process_time() * 1e3, time.perf_counter() * 1e3


def since(start: Milliseconds) -> Milliseconds:
    cpu, wall = now()
    return cpu - start[0], wall - start[1]


def timed(work: Callable[[], object]) -> Milliseconds:
    start = now()
    work()
    return since(start)


def parts_of_step(splats: Splats, photo: Photo) -> dict[str, Milliseconds]:
    """What a step consists of, each by itself."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in splats.tensors().items()}
    background, color_grad = torch.rand(3), torch.randn_like(photo.image)
    shown = rasterize(splats, photo.camera, background=background).color
    dssim = PhotometricConfig().dssim

    def drawn() -> None:
        rasterize(Splats(**leaves), photo.camera, background=background).color.backward(color_grad)

    def compared(difference: Callable[..., Tensor]) -> None:
        color = shown.clone().requires_grad_()
        difference(color, photo.image, photo.usable, dssim=dssim).backward()

    return {
        "rasterization": timed(drawn),
        "loss, torch": timed(lambda: compared(photometric.in_torch)),
        "loss, kernel": timed(lambda: compared(photometric.photometric_difference)),
    }


def measured(photos: Photos, capture: Capture, config: ReconstructConfig, repeats: int) -> dict[str, list[Milliseconds]]:
    """Times of whole steps of a reconstruction, and of their parts."""
    times: dict[str, list[Milliseconds]] = {}
    step, every = 0, max(config.steps // 2 // repeats, 2)
    start = now()
    for event in reconstruct(capture, photos, rasterize, config, seed=0):
        if not isinstance(event, SceneChanged):
            continue
        step, took = step + 1, since(start)
        late = step > config.steps // 2 and step % config.density.every != 0
        if late:
            times.setdefault("step", []).append(took)
        if late and step % every == 0:
            for name, part in parts_of_step(event.splats(), photos[step % len(photos)]).items():
                times.setdefault(name, []).append(part)
        start = now()
    return times


def summary(times: list[Milliseconds]) -> dict[str, Any]:
    cpu, wall = (list(column) for column in zip(*times, strict=True))
    quartiles = statistics.quantiles(cpu, n=4)
    return {
        "median": statistics.median(cpu),
        "quartiles": [quartiles[0], quartiles[2]],
        "best": min(cpu),
        "wall": statistics.median(wall),
        "repeats": len(cpu),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--max-resolution", type=int, default=480, help="longest image side in pixels")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    config = ReconstructConfig(steps=arguments.steps)
    with tempfile.TemporaryDirectory() as cache:
        capture = drain(prepare(arguments.capture, CaptureConfig(arguments.max_resolution), cache=Path(cache)))
        rows = {
            name: summary(each)
            for name, each in measured(Photos(capture.views, torch.device("cpu")), capture, config, arguments.repeats).items()
        }
    ratio = rows["step"]["median"] / rows["rasterization"]["median"]
    for name, row in rows.items():
        low, high = row["quartiles"]
        print(
            f"{name:14s}  {row['median']:7.1f}  ({low:6.1f} to {high:6.1f})  best {row['best']:6.1f}  wall {row['wall']:7.1f}"
        )
    print(f"a step costs {ratio:.2f} times its rasterization")
    if arguments.json:
        view = capture.views[0].camera
        record = {"capture": arguments.capture.name, "size": f"{view.width}x{view.height}", "steps": arguments.steps}
        write_json(arguments.json, {**environment(), **record, "unit": "ms", "ratio": ratio, "rows": rows})


if __name__ == "__main__":
    main()
