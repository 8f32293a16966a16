"""Benchmark of the inpainting prior on holes in held-out photos, against classical methods.

    python -m benchmarks.prior PHOTOS --weights FOLDER [--prior bundled] [--sheet FILE]

All methods fill the same holes (balls, boxes, strokes, halves of the image) in the same crops of photos that the prior was not
trained on. Scores are those of `splatpaint eval` in the hole, as means over images. `frechet` is the Fréchet distance between
filled and true crops around the holes of all kinds, on VGG features. `codec` encodes and decodes the truth: an upper bound for
denoisers with this codec. Step counts above the limit of the prior may be given; the limit was chosen by them.
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.measure import environment, write_json
from benchmarks.prior_holes import HOLES, draw_hole
from benchmarks.scoring import load_metrics, text_table
from splatpaint.evaluation import Pair, evaluate
from splatpaint.evaluation.distribution import features, frechet
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import bounding_box
from splatpaint.priors.crops import inpaint
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.photos import random_crops, read_photos
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.stages.evaluate import Metrics

Method = Callable[[Tensor, Tensor], Tensor]
"""From one picture (3 h w) and its hole (1 h w) to the painted picture."""
SHEET_ROWS = 24
METRICS = ("psnr/hole", "ssim/hole", "lpips_alex/hole", "lpips_vgg/hole")


def classical(flag: int) -> Method:
    def fill(image: Tensor, hole: Tensor) -> Tensor:
        import cv2

        pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
        filled = cv2.inpaint(np.ascontiguousarray(pixels), hole[0].byte().numpy(), 5, flag)
        return torch.where(hole > 0, torch.from_numpy(filled).permute(2, 0, 1).float() / 255, image)

    return fill


def biharmonic(image: Tensor, hole: Tensor) -> Tensor:
    from skimage.restoration import inpaint_biharmonic

    filled = inpaint_biharmonic(image.permute(1, 2, 0).numpy(), hole[0].bool().numpy(), channel_axis=-1)
    return torch.where(hole > 0, torch.from_numpy(filled).permute(2, 0, 1).float().clamp(0, 1), image)


def harmonic(image: Tensor, hole: Tensor) -> Tensor:
    return harmonic_fill(image[None], hole[None])[0]


def prior_method(prior: Prior, steps: int) -> Method:
    def fill(image: Tensor, hole: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return inpaint(prior, PriorQuery(image[None], hole[None]), steps=steps, generator=generator)[0]

    return fill


def round_trip(prior: Prior) -> Method:
    def fill(image: Tensor, hole: Tensor) -> Tensor:
        restored = prior.codec.decode(prior.codec.encode(image[None]))[0].clamp(0, 1)
        return torch.where(hole > 0, restored, image)

    return fill


def methods(prior: Prior, steps: Sequence[int]) -> dict[str, Method]:
    import cv2

    return {
        "Telea": classical(cv2.INPAINT_TELEA),
        "Navier-Stokes": classical(cv2.INPAINT_NS),
        "biharmonic": biharmonic,
        "membrane": harmonic,
        **{f"prior, {count} step{'s' * (count > 1)}": prior_method(prior, count) for count in steps},
        "codec": round_trip(prior),
    }


def around(picture: Tensor, hole: Tensor) -> Tensor:
    """The crop around a hole, for the Fréchet distance."""
    box = bounding_box(hole)
    assert box is not None
    return box.crop(picture)[None]


@torch.no_grad()
def score(
    method: Method, images: Tensor, holes: Mapping[str, Tensor], metrics: Metrics
) -> tuple[dict[str, dict[str, float]], dict[str, list[Tensor]]]:
    """Mean scores by kind of hole, and the filled images."""
    scores, painted = {}, {}
    for kind, masks in holes.items():
        start = time.perf_counter()
        painted[kind] = [method(image, hole) for image, hole in zip(images, masks, strict=True)]
        seconds = (time.perf_counter() - start) / len(images)
        pairs = (Pair(str(i), *each) for i, each in enumerate(zip(painted[kind], images, masks, strict=True)))
        means = evaluate(pairs, lpips=metrics.lpips, lpips_of_full=False).means
        scores[kind] = {key: means[key] for key in METRICS if key in means} | {"seconds": seconds}
    if "vgg" in metrics.lpips:
        cells = [(kind, i) for kind in holes for i in range(len(images))]
        net = metrics.lpips["vgg"]
        found = features((around(painted[kind][i], holes[kind][i]) for kind, i in cells), net)
        wanted = features((around(images[i], holes[kind][i]) for kind, i in cells), net)
        scores["all"] = {"frechet": frechet(found, wanted), "n": float(len(cells))}
    return scores, painted


def draw_sheet(path: Path, columns: Mapping[str, Sequence[Tensor]]) -> None:
    """Writes a contact sheet: one column per method, one row per example."""
    side = next(iter(columns.values()))[0].shape[-1]
    rows = len(next(iter(columns.values())))
    sheet = Image.new("RGB", (len(columns) * (side + 4), rows * (side + 4) + 16), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, pictures) in enumerate(columns.items()):
        pen.text((column * (side + 4) + 2, 2), name, fill="black")
        for row, picture in enumerate(pictures):
            pixels = (picture.clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()
            sheet.paste(Image.fromarray(pixels), (column * (side + 4), row * (side + 4) + 16))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=88)


def rows_of(scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[list[str]]:
    """One row per method: PSNR and LPIPS by kind of hole, and the Fréchet distance."""
    names = {"psnr/hole": "psnr", "lpips_alex/hole": "alex", "lpips_vgg/hole": "vgg"}
    rows = [["method", *(f"{kind} {short}" for kind in HOLES for short in names.values()), "frechet"]]
    for method, by_kind in scores.items():
        cells = [by_kind[kind].get(key, math.nan) for kind in HOLES for key in names]
        rows.append([method, *(f"{cell:.3f}" for cell in cells), f"{by_kind.get('all', {}).get('frechet', math.nan):.1f}"])
    return rows


def on_photos(
    arguments: argparse.Namespace, prior: LatentInpaintingPrior, metrics: Metrics
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of the prior and the classical methods on held-out photos."""
    rng = np.random.default_rng(arguments.seed)
    images = random_crops(read_photos(arguments.photos).test, arguments.count, arguments.size, rng)
    holes = {kind: torch.stack([draw_hole(kind, arguments.size, rng) for _ in images]) for kind in HOLES}
    examples = [(HOLES[i % len(HOLES)], i) for i in range(min(len(images), SHEET_ROWS))]
    columns = {
        "given": [torch.where(holes[kind][i] > 0, 0.5, images[i]) for kind, i in examples],
        "truth": [images[i] for _, i in examples],
    }
    scores = {}
    for name, method in methods(prior, arguments.steps).items():
        scores[name], painted = score(method, images, holes, metrics)
        columns[name] = [painted[kind][i] for kind, i in examples]
        print(text_table(rows_of({name: scores[name]})), flush=True)
    print(f"\n{text_table(rows_of(scores))}")
    if arguments.sheet:
        draw_sheet(arguments.sheet, columns)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with the photos")
    parser.add_argument("--weights", type=Path, help="folder with the LPIPS trunks")
    parser.add_argument("--prior", default="bundled")
    parser.add_argument("--steps", type=int, nargs="+", default=[2])
    parser.add_argument("--count", type=int, default=96, help="photos")
    parser.add_argument("--size", type=int, default=256, help="side of the crops in pixels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()

    prior = load_prior(PriorConfig(name=arguments.prior), torch.device("cpu"))
    limit, prior.max_steps = prior.max_steps, None
    metrics = load_metrics(arguments.weights)
    scores = on_photos(arguments, prior, metrics)
    if arguments.json:
        names = ("count", "size", "seed", "prior", "steps")
        settings = {name: getattr(arguments, name) for name in names} | {"max_steps": limit}
        write_json(arguments.json, {"environment": environment(), "settings": settings, "scores": scores})


if __name__ == "__main__":
    main()
