"""`splatpaint eval`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splatpaint.cli.options import DEVICES, PATH

if TYPE_CHECKING:
    from rich.table import Table

    from splatpaint.stages.evaluate import Report

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
@click.option("--truth", type=PATH, metavar="DIR", help="Pictures without the object, named like the views.")
@click.option("--weights", type=PATH, metavar="DIR", help="Where the networks of LPIPS are, if not in torch's hub cache.")
@click.option("--device", type=DEVICES, help="Default: the run's own.")
def evaluate(run_path: Path, truth: Path | None, weights: Path | None, device: str | None) -> None:
    """Measure RUN: against the truth if there is one, else against the photos where they know. Writes RUN/eval.json."""
    from rich.console import Console

    from splatpaint.cli.finished import open_run
    from splatpaint.cli.progress import draw
    from splatpaint.formats import read_splats
    from splatpaint.stages.evaluate import find_metrics, judge
    from splatpaint.stages.folder import RunFolder

    run = open_run(run_path, "inpaint", device)
    folder = RunFolder.read(run_path)
    instruments, missing = find_metrics(weights)
    report = draw(
        judge(
            read_splats(folder.product("reconstruct")).to(run.device),
            run.splats.to(run.device),
            run.capture,
            run.rasterizer,
            instruments,
            truth=truth,
            out=folder.stage("pictures"),
            device=run.device,
        )
    )
    report.write(run_path / "eval.json", folder.metrics)
    console = Console()
    console.print(scores(report))
    for line in (*described(report), *missing, f"eval: {run_path / 'eval.json'}"):
        console.print(line, highlight=False, soft_wrap=True)


def scores(report: "Report") -> "Table":
    """A row a region, a column a metric."""
    from rich.table import Table

    values: Mapping[str, float] = {**report.card.means, **report.whole}
    table = Table("", *COLUMNS, title=report.judged)
    for region in REGIONS:
        cells = [values.get(f"{metric}/{region}") for metric in COLUMNS.values()]
        if any(cell is not None for cell in cells):
            table.add_row(region, *("-" if cell is None else f"{cell:.{2 if cell > 5 else 3}f}" for cell in cells))
    return table


def described(report: "Report") -> list[str]:
    """Sentences for the numbers that belong to no region."""
    whole = report.whole
    lines = [
        f"far from the mask, a color value of 255 changed by {whole['drift/far']:.2f} on average",
        f"{whole['splats']:.0f} splats, {whole['splats/reconstructed']:.0f} before the object went",
    ]
    if "n/bbox" in whole:
        lines.append(
            f"VGG features of {whole['n/bbox']:.0f} hole crops: Fréchet distance {whole['frechet_vgg/bbox']:.2f}, "
            f"kernel distance {whole['kernel_vgg/bbox']:.4f} (not comparable with published FID and KID)"
        )
    return lines
