"""`splatpaint eval`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splatpaint.cli.options import DEVICES, PATH

if TYPE_CHECKING:
    from rich.table import Table

    from splatpaint.stages.evaluate import EvaluationReport

REGIONS = ("hole", "bbox", "ring", "known", "full", "consistency")
COLUMNS = {
    "PSNR dB": "psnr",
    "same, colors fitted": "psnr_affine",
    "SSIM": "ssim",
    "LPIPS alex": "lpips_alex",
    "LPIPS vgg": "lpips_vgg",
    "FLIP": "flip",
}


@click.command("eval")
@click.argument("run_path", type=PATH, metavar="RUN")
@click.option("--truth", type=PATH, metavar="DIR", help="Images without the object, named like the views.")
@click.option("--weights", type=PATH, metavar="DIR", help="Folder with the trunks of LPIPS. Default: torch's hub cache.")
@click.option("--device", type=DEVICES, help="Default: the run's own.")
def evaluate(run_path: Path, truth: Path | None, weights: Path | None, device: str | None) -> None:
    """Evaluate RUN against ground truth, or else against the known pixels of the photos. Writes RUN/eval.json."""
    from rich.console import Console

    from splatpaint.cli.finished import open_run
    from splatpaint.cli.progress import draw
    from splatpaint.formats import read_splats
    from splatpaint.stages.contradicting_views import read_contradicting
    from splatpaint.stages.evaluate import evaluate_run, find_metrics
    from splatpaint.stages.folder import RunFolder

    run = open_run(run_path, "inpaint", device)
    folder = RunFolder.read(run_path)
    metrics, missing = find_metrics(weights)
    report = draw(
        evaluate_run(
            read_splats(folder.product("reconstruct")).to(run.device),
            run.splats.to(run.device),
            run.capture,
            run.rasterizer,
            metrics,
            truth=truth,
            out=folder.stage("pictures"),
            device=run.device,
            left_out=read_contradicting(folder.stage("reconstruct")),
        )
    )
    report.write(run_path / "eval.json", folder.metrics)
    console = Console()
    console.print(score_table(report))
    for line in (*summary_lines(report), *missing, f"eval: {run_path / 'eval.json'}"):
        console.print(line, highlight=False, soft_wrap=True)


def score_table(report: "EvaluationReport") -> "Table":
    """A table with one row per region and one column per metric."""
    from rich.table import Table

    values: Mapping[str, float] = {**report.scorecard.means, **report.scene}
    table = Table("", *COLUMNS, title=report.protocol)
    for region in REGIONS:
        cells = [values.get(f"{metric}/{region}") for metric in COLUMNS.values()]
        if any(cell is not None for cell in cells):
            table.add_row(region, *("-" if cell is None else f"{cell:.{2 if cell > 5 else 3}f}" for cell in cells))
    return table


def summary_lines(report: "EvaluationReport") -> list[str]:
    """Sentences for the metrics of the whole scene."""
    scene = report.scene
    lines = [
        f"far from the mask, a color value of 255 changed by {scene['drift/far']:.2f} on average, the depth by "
        f"{100 * scene['depth_change/far']:.2f} %",
        f"{scene['splats']:.0f} splats, {scene['splats/reconstructed']:.0f} before the object went",
    ]
    if "depth_residual/hole" in scene:
        lines.insert(1, f"under the mask, {scene['depth_residual/hole']:.1%} of the pixels are as far away as with the object")
    if "n/bbox" in scene:
        lines.append(
            f"VGG features of {scene['n/bbox']:.0f} hole crops: Fréchet distance {scene['frechet_vgg/bbox']:.2f}, "
            f"kernel distance {scene['kernel_vgg/bbox']:.4f} (not comparable with published FID and KID)"
        )
    return lines
