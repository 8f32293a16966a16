"""Drift: change of the scene away from the hole, caused by trained boundary splats and by the fill.

    python -m benchmarks.drift RUN [RUN ...] [--json FILE]

RUNs are run folders of `splatpaint fit`. In the view of every photo, the scene after removal is compared with the filled scene,
and with the filled scene without its fill splats, at pixels farther than 16 px from the removed object and its holes. All other
kept splats are bit-identical (a test checks this).
"""

import argparse
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.measure import environment, write_json
from benchmarks.scoring import text_table
from splatpaint.capture import last_prepared
from splatpaint.formats import read_splats
from splatpaint.image.files import read_mask
from splatpaint.image.region import dilate
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.views import View
from splatpaint.stages.config import RunConfig
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.run import pick_device

FAR_PX = 16
"""Distance from the removed object and its holes, in pixels."""
CHANGED = 1 / 255
"""Smallest change of a color that counts as one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if len({run.name for run in arguments.runs}) < len(arguments.runs):
        parser.error("two runs have the same folder name, by which the table tells them apart: rename one")
    found = {run.name: drift(run) for run in arguments.runs}
    columns = list(next(iter(found.values())))
    print(
        text_table([["run", *columns], *([name, *(f"{row[column]:.3f}" for column in columns)] for name, row in found.items())])
    )
    if arguments.json:
        write_json(arguments.json, {"environment": environment(), "runs": found})


@torch.no_grad()
def drift(run: Path) -> dict[str, float]:
    """Mean change (of 255) and percentage of pixels that change by more than 1, by all trained splats and by each group."""
    folder = RunFolder.read(run)
    config = folder.config(RunConfig)
    device = pick_device(config.device)
    rasterizer = pick_rasterizer(config.rasterizer, device)
    capture = last_prepared(folder.stage("capture"))
    kept, filled = (read_splats(folder.product(stage)).to(device) for stage in ("remove", "inpaint"))
    with_boundary = filled[: len(filled) - int(folder.metrics["inpaint"].get("fill") or 0)]  # the fill comes last
    changes: dict[str, list[Float[Tensor, " n"]]] = {"all": [], "rim": [], "fill": []}
    for view in capture.views:
        far = away(folder, view).to(device)
        before, middle, after = (
            rasterizer(scene, view.camera.to(device)).color.clamp(0, 1) for scene in (kept, with_boundary, filled)
        )
        for name, one, other in (("all", before, after), ("rim", before, middle), ("fill", middle, after)):
            changes[name].append((one - other).abs().amax(dim=1, keepdim=True)[far])
    result = {}
    for name, parts in changes.items():
        change = torch.cat(parts)
        result |= {
            f"{name}, mean of 255": 255 * float(change.mean()),
            f"{name}, % changed": 100 * float((change > CHANGED).float().mean()),
        }
    return result


def away(folder: RunFolder, view: View) -> Tensor:
    """Pixels farther than `FAR_PX` from the removed object and its holes, (1, 1, h, w) bool."""
    kinds = (folder.path / "remove" / kind / f"{view.name}.png" for kind in ("occluded", "holes", "support_removed"))
    touched = torch.stack([read_mask(file) for file in kinds]).amax(dim=0)[None]
    return dilate(touched, FAR_PX) == 0


if __name__ == "__main__":
    main()
