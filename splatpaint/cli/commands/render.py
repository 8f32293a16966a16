"""`splatpaint render`."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splatpaint.cli.options import DEVICES, PATH, SPLAT_STAGES
from splatpaint.errors import RunError

if TYPE_CHECKING:
    from splatpaint.scene.views import View


@click.command()
@click.argument("run_path", type=PATH, metavar="RUN")
@click.option("-o", "--output", "out", type=PATH, required=True, metavar="DIR", help="Folder of the pictures; made if need be.")
@click.option("--views", "names", default="all", show_default=True, metavar="all|NAME,...", help="Which captured views.")
@click.option("--stage", type=SPLAT_STAGES, default="inpaint", show_default=True, help="Stage whose splats are rendered.")
@click.option("--what", type=click.Choice(["color", "depth", "alpha"]), default="color", show_default=True)
@click.option(
    "--exposure",
    type=click.Choice(["photo", "scene"]),
    default="photo",
    show_default=True,
    help="Exposure of each photo, or the common exposure of the exported splats.",
)
@click.option("--device", type=DEVICES, help="Default: the run's own.")
def render(run_path: Path, out: Path, names: str, stage: str, what: str, exposure: str, device: str | None) -> None:
    """Render RUN from the captured views: one PNG per view, named like the view."""
    from splatpaint.cli.finished import open_run
    from splatpaint.cli.progress import draw
    from splatpaint.scene.exposure import Exposure
    from splatpaint.stages.pictures import render_views

    run = open_run(run_path, stage, device)
    views = select_views(run.capture.all_views, names)
    if exposure == "scene":
        views = [replace(view, exposure=Exposure()) for view in views]
    draw(render_views(run.splats, views, run.rasterizer, out, what=what, device=run.device))  # pyright: ignore[reportArgumentType]


def select_views(views: "Sequence[View]", names: str) -> "list[View]":
    """The views named in a comma-separated list, with or without the suffix of the image; `all` selects all.

    Raises:
        RunError: if there is no such view.
    """
    if names == "all":
        return list(views)
    by_name = {view.name: view for view in views}
    picked = []
    for name in filter(None, (name.strip() for name in names.split(","))):
        known = name if name in by_name else str(Path(name).with_suffix(""))
        if known not in by_name:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {len(by_name)}, {views[0].name!r} is the first"
            raise RunError(f"no view of this run is called {name!r}; {hint}")
        picked.append(by_name[known])
    return picked
