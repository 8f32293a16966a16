"""How much nearer to the truth `--shadow remove` brings the made room, whose object throws a shadow.

    python -m benchmarks.shadow [-o runs/shadow] [--seeds 0 1 2] [--set reconstruct.steps=1500] [--json FILE]

The room is rendered with the object and its shadow, and without both: exact truth. The finished scene is judged where photos
show the shadow beside the object, at the pixels that it darkens by more than 2, 4, 10 and 25 of 255: PSNR with the shadow kept
and removed, and the difference. Beside them is a room that was rendered without any shadow and fitted alike: no undoing can be
expected to pass that. Of the pixels without a shadow the table says how many change between keep and remove by more than 1/255.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import environment, write_json
from benchmarks.methods import Ours
from benchmarks.protocol import Draw
from benchmarks.scoring import text_table
from benchmarks.synthetic_room import make_room
from splatpaint.capture import prepare
from splatpaint.config import load
from splatpaint.events import drain
from splatpaint.image.files import read_image
from splatpaint.scene.photos import Photos
from splatpaint.stages.config import RunConfig

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "preview.yaml"
DARKER = (2, 4, 10, 25)
"""A pixel is the shadow's if it takes more than so much of it, of 255."""
LIT = 0.5
"""A pixel that it takes less than that of, of 255, has no shadow."""
CHANGED = 1
"""Of 255: a pixel that changes by more is touched."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/shadow"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--config", type=Path, default=CONFIG, help="recipe of the fits")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as of `splatpaint fit`")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), help="width and height of the photos in pixels")
    parser.add_argument("--views", type=int, default=36)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scores = {}
    for seed in arguments.seeds:
        config = load(RunConfig, arguments.config, [*arguments.settings, f"seed={seed}"])
        scores[str(seed)] = judge(arguments.output / str(seed), config, views=arguments.views, size=tuple(arguments.size))
        print(f"seed {seed}:\n{text_table(rows(scores[str(seed)]))}", flush=True)
    if arguments.json:
        write_json(arguments.json, {"environment": environment(), "settings": arguments.settings, "scores": scores})


def judge(folder: Path, config: RunConfig, *, views: int, size: tuple[int, int]) -> dict[str, float]:
    """PSNR by method and darkness, as `keep/4`, and `touched`, the share of pixels without a shadow that `remove` changes."""
    room, lit = folder / "room", folder / "room-without-shadow"
    for place, shadow in ((room, True), (lit, False)):
        if not (place / "transforms.json").exists():
            make_room(place, views=views, size=size, seed=config.seed, shadow=shadow)
    keep = Ours().fit(room, folder / "work", config, ()).draw
    remove = Ours(part="shadow-remove", settings=("remove.shadow=remove",)).fit(room, folder / "work", config, ()).draw
    best = Ours().fit(lit, folder / "work-without-shadow", config, ()).draw
    return compare({"keep": keep, "remove": remove, "no shadow": best}, room, lit, folder, config)


@torch.no_grad()
def compare(drawn: Mapping[str, Draw], room: Path, lit: Path, folder: Path, config: RunConfig) -> dict[str, float]:
    """The scores of `judge`, over all pixels of all views that show the shadow beside the object."""
    captures = {place: drain(prepare(place, config.capture, cache=folder / f"cache-{place.name}")) for place in (room, lit)}
    squared: dict[str, list[Tensor]] = {name: [] for name in drawn}
    darker, touched = [], []
    for view, other in zip(captures[room].all_views, captures[lit].all_views, strict=True):
        (photo,) = Photos([view], torch.device("cpu"))
        beside = photo.fill[0, 0] == 0
        truth = read_image(room / "truth" / f"{view.name}.png")
        shade = 255 * (truth - photo.image[0]).mean(dim=0)
        shown = {name: draw(other if name == "no shadow" else view).color[0] for name, draw in drawn.items()}
        darker.append(shade[beside])
        for name, color in shown.items():
            squared[name].append((color - truth).square().mean(dim=0)[beside])
        change = 255 * (shown["remove"] - shown["keep"]).abs().amax(dim=0)
        touched.append((change > CHANGED)[beside & (shade.abs() < LIT)])
    dark = torch.cat(darker)
    scores = {
        f"{name}/{limit}": float(-10 * torch.log10(torch.cat(errors)[dark > limit].mean()))
        for name, errors in squared.items()
        for limit in DARKER
    }
    return scores | {"touched": float(torch.cat(touched).float().mean())}


def rows(scores: Mapping[str, float]) -> list[list[str]]:
    """A table with one row a method and their differences from keep."""

    def row(name: str, value: Mapping[int, float]) -> list[str]:
        return [name, *(f"{value[limit]:.2f}" for limit in DARKER)]

    by_name = {name: {limit: scores[f"{name}/{limit}"] for limit in DARKER} for name in ("keep", "remove", "no shadow")}
    gain = {limit: by_name["remove"][limit] - by_name["keep"][limit] for limit in DARKER}
    possible = {limit: by_name["no shadow"][limit] - by_name["keep"][limit] for limit in DARKER}
    return [
        ["PSNR, dB; shadow darker by", *(f"> {limit}/255" for limit in DARKER)],
        *(row(name, value) for name, value in by_name.items()),
        row("gain of remove", gain),
        row("gain of no shadow", possible),
        [f"pixels without a shadow that remove changes: {scores['touched']:.2%}", *("" for _ in DARKER)],
    ]


if __name__ == "__main__":
    main()
