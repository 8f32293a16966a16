"""How well holes in held-out photos are painted: the prior beside what needs no learning.

    python -m benchmarks.prior PHOTOS [--prior bundled] [--count 64] [--json FILE] [--sheet FILE]

Every method fills the same random holes (boxes, ellipses, strokes, silhouettes; 1 to 45 % of the picture) in the same crops of
photos that the prior never saw. Scores are over hole pixels only: PSNR a picture, then its mean, and the PSNR of the pooled
squared error, which counts big holes more. `codec` puts the truth through the prior's autoencoder and back. Step counts beyond
the prior's own limit are scored as well: they are how it was chosen.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.measure import environment, write_json
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.priors.crops import inpaint
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.photos import random_crops, read_photos
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.priors.random_holes import random_holes

Method = Callable[[Tensor, Tensor], Tensor]
"""From one picture (3 h w) and its hole (1 h w) to the painted picture."""


def classical(flag: int) -> Method:
    def fill(image: Tensor, hole: Tensor) -> Tensor:
        import cv2

        pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
        filled = cv2.inpaint(np.ascontiguousarray(pixels), hole[0].byte().numpy(), 5, flag)
        return torch.where(hole > 0, torch.from_numpy(filled).permute(2, 0, 1).float() / 255, image)

    return fill


def membrane(image: Tensor, hole: Tensor) -> Tensor:
    return harmonic_fill(image[None], hole[None])[0]


def painting(prior: Prior, *, steps: int, strength: float) -> Method:
    def fill(image: Tensor, hole: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        query = PriorQuery(image[None], hole[None])
        return inpaint(prior, query, strength=strength, steps=steps, generator=generator)[0]

    return fill


def round_trip(prior: Prior) -> Method:
    def fill(image: Tensor, hole: Tensor) -> Tensor:
        restored = prior.codec.decode(prior.codec.encode(image[None]))[0].clamp(0, 1)
        return torch.where(hole > 0, restored, image)

    return fill


def methods(prior: Prior) -> dict[str, Method]:
    import cv2

    return {
        "Telea": classical(cv2.INPAINT_TELEA),
        "Navier-Stokes": classical(cv2.INPAINT_NS),
        "membrane": membrane,
        "prior, 1 step": painting(prior, steps=1, strength=1.0),
        "prior, 4 steps": painting(prior, steps=4, strength=1.0),
        "prior, 12 steps": painting(prior, steps=12, strength=1.0),
        "codec": round_trip(prior),
    }


def decibels(mean_squared_error: float) -> float:
    return -10 * float(np.log10(mean_squared_error))


@torch.no_grad()
def score(method: Method, images: Tensor, holes: Tensor) -> tuple[dict[str, float], list[Tensor]]:
    method(images[0], holes[0])
    begun = time.perf_counter()
    painted = [method(image, hole) for image, hole in zip(images, holes, strict=True)]
    seconds = (time.perf_counter() - begun) / len(images)
    inside = [(hole > 0).expand_as(image) for hole, image in zip(holes, images, strict=True)]
    squares = [(a - b)[where].square() for a, b, where in zip(painted, images, inside, strict=True)]
    each = [decibels(max(float(square.mean()), 1e-6)) for square in squares]
    return {
        "hole_psnr_mean": float(np.mean(each)),
        "hole_psnr_median": float(np.median(each)),
        "hole_psnr_pooled": decibels(float(torch.cat(squares).mean())),
        "seconds_a_picture": seconds,
    }, painted


def draw_sheet(path: Path, columns: dict[str, list[Tensor]], rows: int) -> None:
    side = next(iter(columns.values()))[0].shape[-1]
    sheet = Image.new("RGB", (len(columns) * (side + 4), rows * (side + 4) + 16), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, pictures) in enumerate(columns.items()):
        pen.text((column * (side + 4) + 2, 2), name, fill="black")
        for row, picture in enumerate(pictures[:rows]):
            pixels = (picture.clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()
            sheet.paste(Image.fromarray(pixels), (column * (side + 4), row * (side + 4) + 16))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--prior", default="bundled")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--sheet-rows", type=int, default=16)
    arguments = parser.parse_args()

    prior = load_prior(PriorConfig(name=arguments.prior), torch.device("cpu"))
    limit, prior.most_steps = prior.most_steps, None
    rng = np.random.default_rng(arguments.seed)
    images = random_crops(read_photos(arguments.photos).test, arguments.count, arguments.size, rng)
    holes = random_holes(arguments.count, arguments.size, arguments.size, rng)
    gray = torch.where(holes > 0, 0.5, images)
    scores, columns = {}, {"given": list(gray), "truth": list(images)}
    for name, method in methods(prior).items():
        scores[name], columns[name] = score(method, images, holes)
        print(f"{name:16} " + "  ".join(f"{key} {value:.3f}" for key, value in scores[name].items()), flush=True)
    if arguments.sheet:
        draw_sheet(arguments.sheet, columns, arguments.sheet_rows)
    if arguments.json:
        names = ("count", "size", "seed", "prior")
        settings = {name: getattr(arguments, name) for name in names} | {"most_steps": limit}
        write_json(arguments.json, {"environment": environment(), "settings": settings, "scores": scores})


if __name__ == "__main__":
    main()
