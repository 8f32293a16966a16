"""`splatpaint export`."""

from pathlib import Path

import click

from splatpaint.cli.options import DEVICES, PATH, SPLAT_STAGES

CHECKED_VIEWS = 4
"""Number of views that the written file is rendered from as a self-check."""


@click.command()
@click.argument("run_path", type=PATH, metavar="RUN")
@click.option("-o", "--output", "out", type=PATH, required=True, metavar="FILE", help=".ply, .splat or .safetensors")
@click.option("--stage", type=SPLAT_STAGES, default="inpaint", show_default=True, help="Stage whose splats are written.")
@click.option("--device", type=DEVICES, help="For the self-check; default: the run's own.")
def export(run_path: Path, out: Path, stage: str, device: str | None) -> None:
    """Write the splats of RUN in the frame and scale of the capture's poses, and check the file by rendering it."""
    from splatpaint.cli.finished import open_run
    from splatpaint.cli.progress import draw
    from splatpaint.scene.views import spread
    from splatpaint.stages.export import export as export_splats

    run = open_run(run_path, stage, device)
    views = spread(run.capture.all_views, CHECKED_VIEWS)
    to_input = run.capture.world_from_input
    draw(export_splats(run.splats, to_input, out, views=views, rasterizer=run.rasterizer, device=run.device))
