"""Forward and backward time of every rasterizer and kernel target on random scenes.

    python -m benchmarks.rasterize [--repeats 20] [--splats 20000 100000 300000 1000000] [--targets avx512 ...] [--json FILE]

The scene: centers uniform in a cube of side 2 seen from a distance of 3 (focal length 1.2 widths), log-normal scales, random
rotations, opacities sigmoid(N(.5, 1.5)). Forward renders color, alpha and depth with the graph kept; backward takes a random
gradient of all three to every parameter. Rows hold milliseconds: the median, the quartiles, and the best, which on a machine
that others use says most. `cpu` is processor time of forward and backward together, over all threads. Memory is the growth of
the resident peak over one forward and backward.
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import environment, write_json
from splatpaint import _kernels
from splatpaint.render import native, reference
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats

ROWS = {2_000: (128, 0.04), 20_000: (256, 0.02), 100_000: (512, 0.01), 300_000: (512, 0.007), 1_000_000: (1024, 0.004)}
"""Splats: image side in pixels, median standard deviation in world units."""
REFERENCE_MAX = 2_000
"""Largest number of splats for the reference, which evaluates every splat at every pixel."""
SECONDS_MAX = 20.0
"""Seconds after which a row stops repeating, after three repeats at least."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of each repeat."""

    forward: list[float]
    backward: list[float]
    cpu: list[float]


def random_scene(count: int, side: int, scale: float, degree: int, device: torch.device) -> tuple[Splats, Cameras]:
    dice = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=dice)

    splats = Splats(
        means=torch.rand(count, 3, generator=dice) * 2 - 1,
        quats=normal(count, 4),
        log_scales=math.log(scale) + 0.5 * normal(count, 3),
        logit_opacities=0.5 + 1.5 * normal(count),
        sh=0.5 * normal(count, (degree + 1) ** 2, 3),
    )
    K = torch.tensor([[1.2 * side, 0, side / 2], [0, 1.2 * side, side / 2], [0, 0, 1]])[None]
    cam_from_world = torch.eye(4)[None].clone()
    cam_from_world[0, 2, 3] = 3
    leaves = {name: tensor.to(device).requires_grad_() for name, tensor in splats.tensors().items()}
    return Splats(**leaves), Cameras(K=K, cam_from_world=cam_from_world, width=side, height=side).to(device)


def rasterizers(wanted: list[str], count: int) -> Iterator[tuple[str, Rasterizer, Callable[[], None]]]:
    """Name, rasterizer, and a function that waits for its work to finish."""

    def nothing() -> None: ...

    for target in _kernels.targets():
        if target in wanted:
            yield f"native {target}", partial(on_target, target), nothing
    if "reference" in wanted and count <= REFERENCE_MAX:
        yield "reference", reference.rasterize, nothing
    if "cuda" in wanted and torch.cuda.is_available():
        from splatpaint.render import cuda

        yield "cuda", cuda.rasterize, torch.cuda.synchronize


def on_target(target: str, *arguments, **keywords):
    _kernels.select(target)
    return native.rasterize(*arguments, **keywords)


def once(rasterize: Rasterizer, splats: Splats, cameras: Cameras, grads: list[torch.Tensor], settle: Callable[[], None]):
    """Milliseconds of forward, of backward, and of processor time."""
    for tensor in splats.tensors().values():
        tensor.grad = None
    settle()
    cpu, start = time.process_time(), time.perf_counter()
    out = rasterize(splats, cameras)
    settle()
    middle = time.perf_counter()
    torch.autograd.backward([out.color, out.alpha, out.depth], grads)
    settle()
    end = time.perf_counter()
    return (middle - start) * 1e3, (end - middle) * 1e3, (time.process_time() - cpu) * 1e3


def measured(step: Callable[[], tuple[float, float, float]], repeats: int) -> Times:
    for _ in range(2):
        step()
    started, rows = time.perf_counter(), []
    while len(rows) < repeats and (len(rows) < 3 or time.perf_counter() - started < SECONDS_MAX):
        rows.append(step())
    return Times(*(list(column) for column in zip(*rows, strict=True)))


def peak_growth(step: Callable[[], object]) -> float | None:
    """Growth of the peak resident memory in MB; None if the system does not report it."""
    if not os.path.exists("/proc/self/clear_refs"):
        return None
    step()  # what stays allocated is there already
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    step()
    return (status("VmHWM") - before) / 1024


def status(key: str) -> float:
    with open("/proc/self/status") as file:
        return next(float(line.split()[1]) for line in file if line.startswith(key + ":"))


def summary(times: Times) -> dict[str, float]:
    totals = [forward + backward for forward, backward in zip(times.forward, times.backward, strict=True)]
    quartiles = statistics.quantiles(totals, n=4)
    return {
        "forward": statistics.median(times.forward),
        "backward": statistics.median(times.backward),
        "total": statistics.median(totals),
        "total_quartiles": [quartiles[0], quartiles[2]],
        "best_forward": min(times.forward),
        "best_backward": min(times.backward),
        "best_total": min(totals),
        "best_cpu": min(times.cpu),
        "repeats": len(totals),
    }


def print_row(row: dict[str, Any]) -> None:
    low, high = row["total_quartiles"]
    scene = f"{row['splats']:8d}  {row['side']:5d}  {row['degree']:6d}  {row['rasterizer']:16s}"
    medians = f"{row['forward']:8.1f}  {row['backward']:8.1f}  {row['total']:8.1f}  ({low:7.1f} to {high:7.1f})"
    best = f"{row['best_total']:8.1f}  {row['best_cpu']:7.1f}  {row['memory_mb'] or math.nan:7.0f}"
    print(f"{scene}  {medians}  {best}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--splats", type=int, nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--degrees", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--targets", nargs="+", default=[*_kernels.targets(), "reference", "cuda"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    rows = []
    print(
        "  splats   side  degree  rasterizer         forward  backward     total  (quartiles)            best      cpu       MB"
    )
    for count in arguments.splats:
        side, scale = ROWS[count]
        for degree in arguments.degrees:
            for name, rasterize, settle in rasterizers(arguments.targets, count):
                device = torch.device("cuda" if name == "cuda" else "cpu")
                splats, cameras = random_scene(count, side, scale, degree, device)
                grads = [torch.randn(1, channels, side, side, device=device) for channels in (3, 1, 1)]
                step = partial(once, rasterize, splats, cameras, grads, settle)
                row = {"splats": count, "side": side, "degree": degree, "rasterizer": name}
                row |= summary(measured(step, arguments.repeats)) | {"memory_mb": peak_growth(step)}
                rows.append(row)
                print_row(row)
    if arguments.json:
        write_json(arguments.json, {**environment(), "unit": "ms", "rows": rows})


if __name__ == "__main__":
    main()
