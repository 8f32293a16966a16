"""`splatpaint export`."""

from pathlib import Path
from typing import Any

import click

from splatpaint.cli.options import DEVICES, PATH, SPLAT_STAGES, with_format

CHECKED_VIEWS = 4
"""Number of views that the written file is rendered from as a self-check."""


@click.command()
@click.argument("run_path", type=PATH, metavar="RUN")
@click.option("-o", "--output", "out", type=PATH, required=True, metavar="FILE", help="Its suffix is its format.")
@click.option("--stage", type=SPLAT_STAGES, default="inpaint", show_default=True, help="Stage whose splats are written.")
@with_format
@click.option("--device", type=DEVICES, help="For the self-check; default: the run's own.")
def export(run_path: Path, out: Path, stage: str, compact: bool, spz_version: str, spz_frame: Any, device: str | None) -> None:
    """Write the splats of RUN in the frame and scale of the capture's poses, and check the file by rendering it.

    FILE ends with .ply, .compressed.ply, .spz, .sog, .splat or .safetensors.
    """
    from splatpaint.cli.finished import open_run
    from splatpaint.cli.progress import draw
    from splatpaint.formats import FormatOptions, check_writable
    from splatpaint.scene.views import spread
    from splatpaint.stages.export import export as export_splats

    check_writable(out)
    options = FormatOptions(compact=compact, spz_version=int(spz_version), spz_frame=spz_frame)  # pyright: ignore[reportArgumentType]
    run = open_run(run_path, stage, device)
    views = spread(run.capture.all_views, CHECKED_VIEWS)
    to_input = run.capture.world_from_input
    draw(export_splats(run.splats, to_input, out, views=views, rasterizer=run.rasterizer, device=run.device, options=options))
