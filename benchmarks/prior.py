"""How well holes in held-out photos are painted: the prior beside what needs no learning.

    python -m benchmarks.prior [PHOTOS] --weights FOLDER [--captures CAPTURES] [--prior bundled] [--sheet FILE]

Every method fills the same holes (balls, boxes, strokes, halves of the picture) in the same crops of photos that the prior
never saw. Scores are those of `splatpaint eval` in the hole, mean over pictures; `frechet` is the distance between the sets of
filled and of true crops around the holes, all kinds pooled, on VGG features. `codec` puts the truth through its codec and back:
no denoiser over it can do better. Step counts beyond the prior's own limit are scored too: they are how it was chosen.
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
from benchmarks.prior_in_scenes import learned, shown
from benchmarks.prior_warped import begun_from_neighbors
from benchmarks.scoring import instruments_of, text_table
from splatpaint.evaluation import Pair, evaluate
from splatpaint.evaluation.distribution import features, frechet
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import bounding_box
from splatpaint.priors.crops import inpaint
from splatpaint.priors.customize import CustomizeConfig
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.photos import random_crops, read_photos
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.stages.evaluate import Metrics

Method = Callable[[Tensor, Tensor], Tensor]
"""From one picture (3 h w) and its hole (1 h w) to the painted picture."""
SHOWN = ("fox", "llff_fern", "spin_statue", "kermit")
"""Captures whose views are painted in with a neighbor to look at."""
TAUGHT = ("snowmiku", "fox")
"""Captures that the prior learns."""
CUSTOMIZATION = CustomizeConfig(steps=50, perceptual_weight=1.1, perceptual_net="vgg")
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


def membrane(image: Tensor, hole: Tensor) -> Tensor:
    return harmonic_fill(image[None], hole[None])[0]


def rendered_weight(prior: Prior, steps: int) -> Method:
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
        "membrane": membrane,
        **{f"prior, {count} step{'s' * (count > 1)}": rendered_weight(prior, count) for count in steps},
        "codec": round_trip(prior),
    }


def around(picture: Tensor, hole: Tensor) -> Tensor:
    """The crop whose contents are compared as a set."""
    box = bounding_box(hole)
    assert box is not None
    return box.crop(picture)[None]


@torch.no_grad()
def score(
    method: Method, images: Tensor, holes: Mapping[str, Tensor], instruments: Metrics
) -> tuple[dict[str, dict[str, float]], dict[str, list[Tensor]]]:
    """Means by kind of hole, and the painted pictures."""
    scores, painted = {}, {}
    for kind, masks in holes.items():
        begun = time.perf_counter()
        painted[kind] = [method(image, hole) for image, hole in zip(images, masks, strict=True)]
        seconds = (time.perf_counter() - begun) / len(images)
        pairs = (Pair(str(i), *each) for i, each in enumerate(zip(painted[kind], images, masks, strict=True)))
        means = evaluate(pairs, lpips=instruments.lpips, lpips_of_full=False).means
        scores[kind] = {key: means[key] for key in METRICS if key in means} | {"seconds": seconds}
    if "vgg" in instruments.lpips:
        cells = [(kind, i) for kind in holes for i in range(len(images))]
        net = instruments.lpips["vgg"]
        found = features((around(painted[kind][i], holes[kind][i]) for kind, i in cells), net)
        wanted = features((around(images[i], holes[kind][i]) for kind, i in cells), net)
        scores["all"] = {"frechet": frechet(found, wanted), "n": float(len(cells))}
    return scores, painted


def draw_sheet(path: Path, columns: Mapping[str, Sequence[Tensor]]) -> None:
    """A picture a column and an example a row."""
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
    """A row a method: LPIPS and PSNR by kind, and the distance of the sets."""
    names = {"psnr/hole": "psnr", "lpips_alex/hole": "alex", "lpips_vgg/hole": "vgg"}
    rows = [["method", *(f"{kind} {short}" for kind in HOLES for short in names.values()), "frechet"]]
    for method, by_kind in scores.items():
        cells = [by_kind[kind].get(key, math.nan) for kind in HOLES for key in names]
        rows.append([method, *(f"{cell:.3f}" for cell in cells), f"{by_kind.get('all', {}).get('frechet', math.nan):.1f}"])
    return rows


def on_photos(
    arguments: argparse.Namespace, prior: LatentInpaintingPrior, instruments: Metrics
) -> dict[str, dict[str, dict[str, float]]]:
    """A prior and its competitors on held-out photos."""
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
        scores[name], painted = score(method, images, holes, instruments)
        columns[name] = [painted[kind][i] for kind, i in examples]
        print(text_table(rows_of({name: scores[name]})), flush=True)
    print(f"\n{text_table(rows_of(scores))}")
    if arguments.sheet:
        draw_sheet(arguments.sheet, columns)
    return scores


def in_scenes(
    arguments: argparse.Namespace, prior: LatentInpaintingPrior, instruments: Metrics
) -> dict[str, dict[str, dict[str, float]]]:
    """A prior beside the scene it paints in: shown a neighbor of each view, and taught a scene."""
    side, found = prior.native_px, {}
    found["reference"], columns = shown(
        prior, [arguments.captures / name for name in SHOWN], arguments.scene_steps, instruments, side=side
    )
    print_scores("with a neighboring view to look at", found["reference"])
    sheet_beside(arguments.sheet, "reference", columns)
    found["warped"], columns = begun_from_neighbors(
        prior, [arguments.captures / name for name in SHOWN], arguments.scene_steps, instruments, side=side
    )
    print_scores("a neighboring view warped into the hole", found["warped"])
    sheet_beside(arguments.sheet, "warped", columns)
    for name in TAUGHT:
        fresh = load_prior(PriorConfig(name=arguments.prior), torch.device("cpu"))
        if fresh.max_steps is not None:
            fresh.max_steps = arguments.scene_steps
        result = learned(fresh, arguments.captures / name, CUSTOMIZATION, arguments.scene_steps, instruments, side=side)
        found[name] = {"before": result.before, "after": result.after | {"seconds": result.seconds}}
        found[name]["curve"] = {str(step): loss for step, loss in result.curve}
        print_scores(f"taught {name}", {key: found[name][key] for key in ("before", "after")})
        sheet_beside(arguments.sheet, name, result.pictures)
    return found


def print_scores(title: str, scores: Mapping[str, Mapping[str, float]]) -> None:
    names = sorted({key for by_name in scores.values() for key in by_name})
    rows = [[title, *names], *([name, *(f"{each.get(key, math.nan):.3f}" for key in names)] for name, each in scores.items())]
    print(f"\n{text_table(rows)}", flush=True)


def sheet_beside(sheet: Path | None, name: str, columns: Mapping[str, Sequence[Tensor]]) -> None:
    if sheet is not None:
        draw_sheet(sheet.with_stem(f"{sheet.stem}-{name}"), columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?", help="folder with the photos; without it only captures are painted in")
    parser.add_argument("--weights", type=Path, help="folder with the LPIPS trunks")
    parser.add_argument("--prior", default="bundled")
    parser.add_argument("--captures", type=Path, help="folder with the captures; without it only photos are painted in")
    parser.add_argument("--scene-steps", type=int, default=2, help="denoiser calls in the captures")
    parser.add_argument("--steps", type=int, nargs="+", default=[2])
    parser.add_argument("--count", type=int, default=96, help="photos")
    parser.add_argument("--size", type=int, default=256, help="side of the crops in pixels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()

    prior = load_prior(PriorConfig(name=arguments.prior), torch.device("cpu"))
    limit, prior.max_steps = prior.max_steps, None
    instruments = instruments_of(arguments.weights)
    scores = on_photos(arguments, prior, instruments) if arguments.photos else {}
    scenes = in_scenes(arguments, prior, instruments) if arguments.captures else {}
    if arguments.json:
        names = ("count", "size", "seed", "prior", "steps", "scene_steps")
        settings = {name: getattr(arguments, name) for name in names} | {"max_steps": limit}
        write_json(arguments.json, {"environment": environment(), "settings": settings, "scores": scores, "scenes": scenes})


if __name__ == "__main__":
    main()
