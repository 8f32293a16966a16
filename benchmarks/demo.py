"""Demo: all stages of splatpaint on a synthetic room with ground truth.

    python -m benchmarks.demo -o demo

Makes the room, removes an urn from it with the bundled prior, exports the splats, renders all views, and scores them against
the room without the urn. Runs offline on any CPU.
"""

import argparse
import time
from pathlib import Path

from benchmarks.scoring import largest_holes, names, pairs, score_table, splatpaint, text_table, write_strips
from benchmarks.synthetic_room import make_room
from splatpaint.evaluation import evaluate

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "preview.yaml"
COLUMNS = ("psnr/hole", "ssim/hole", "psnr/bbox", "psnr/ring", "psnr/full")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"))
    parser.add_argument("--config", type=Path, default=CONFIG, help="recipe of the fit")
    arguments = parser.parse_args()
    out = arguments.output
    start = time.perf_counter()

    room, run = out / "room", out / "run"
    if not (room / "transforms.json").exists():
        print(f"making a room with an urn in it: {room}", flush=True)
        make_room(room)
    splatpaint("fit", room, "-o", run, "--config", arguments.config, "--resume", "--device", "cpu")
    splatpaint("export", run, "-o", out / "room.ply")
    splatpaint("render", run, "-o", out / "deleted", "--views", "all", "--stage", "remove")
    splatpaint("render", run, "-o", out / "filled", "--views", "all")

    truth, holes = room / "truth", room / "masks"
    cards = {name: evaluate(pairs(out / name, truth, holes)) for name in ("deleted", "filled")}
    strip = out / "comparison.png"
    write_strips(strip, [room / "images", out / "deleted", out / "filled", truth], largest_holes(holes, 4, among=names(holes)))

    print("\nAgainst the room without the urn, mean of all views (PSNR in dB; the hole is the urn's silhouette):\n")
    print(text_table(score_table(cards, COLUMNS)))
    print(f"\n{time.perf_counter() - start:.0f} s in all. Look at:")
    print(f"  {strip}   photo | urn deleted | filled | truth")
    print(f"  {run / 'pictures'}   every view, from photo to filled scene")
    print(f"  {out / 'filled'}   the renders")
    print(f"  {out / 'room.ply'}   opens in any splat viewer")


if __name__ == "__main__":
    main()
