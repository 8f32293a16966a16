"""`splatpaint info`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splatpaint.cli.options import PATH, assignments, mask_value, resolve_masks, with_masks

if TYPE_CHECKING:
    from splatpaint.capture import CaptureSummary


@click.command()
@click.argument("capture", type=PATH)
@with_masks
def info(capture: Path, masks: str | None, mask_polarity: str | None, mask_ids: tuple[int, ...]) -> None:
    """Print layout, cameras, registered share, masks, points and extent of CAPTURE."""
    from splatpaint.capture import CaptureConfig, inspect
    from splatpaint.config import load

    options = {"masks": resolve_masks(masks), "mask_value": mask_value(mask_polarity, mask_ids)}
    summary = inspect(capture, load(CaptureConfig, overrides=assignments(options)))
    for name, value in rows(summary):
        click.echo(f"{name:<12}{value}")
    for note in summary.notes:
        click.echo(f"note: {note}")


def rows(summary: "CaptureSummary") -> Iterator[tuple[str, str]]:
    """Label and text of every line."""
    yield "layout", summary.layout
    for camera in summary.cameras:
        yield "camera", camera
    yield "views", f"{summary.views} usable of {summary.listed} listed"
    yield "registered", f"{summary.registered:.0%} of {summary.pictures} pictures"
    yield "masks", f"{summary.fill_masks} of {summary.views} views have a fill mask, {summary.ignore_masks} an ignore mask"
    yield "points", "none, they will be triangulated" if summary.points is None else str(summary.points)
    extent = "" if summary.scene_extent is None else f", scene {summary.scene_extent:.3g}"
    yield "extent", f"cameras {summary.camera_extent:.3g}{extent} (input units)"
