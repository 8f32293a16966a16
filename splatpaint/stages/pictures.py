"""Pictures by which a person judges a run: renders of every view, and strips from photo to filled scene."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.events import Events, Progressed, Saved, Skipped
from splatpaint.formats import read_splats
from splatpaint.image.files import read_mask, write_image
from splatpaint.image.sheet import write_sheet, write_strip
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.view_files import view_file
from splatpaint.scene.views import View, spread
from splatpaint.stages.folder import RunFolder

STAGE = "pictures"
SHEET_NAME = "contact-sheet.png"

What = Literal["color", "depth", "alpha"]

STRIP_PANEL_PX = 360
"""Longest side of one picture of a strip."""
SHEET_VIEWS = 6
HOLE_COLOR = (1.0, 0.1, 0.6)
NEAR_TO_FAR = ((0.99, 0.91, 0.56), (0.94, 0.49, 0.29), (0.62, 0.18, 0.42), (0.27, 0.06, 0.40), (0.02, 0.02, 0.10))
"""Colors of depth: bright is near, dark is far; lightness falls steadily, so it also reads in gray."""


@torch.no_grad()
def render_views(
    splats: Splats, views: Sequence[View], rasterizer: Rasterizer, out: Path, *, what: What = "color", device: torch.device
) -> Events[Path]:
    """One PNG a view, at its size, exposed as the view is, named by the view (`out/NAME.png`, subfolders kept)."""
    splats = splats.to(device)
    for done, view in enumerate(views, start=1):
        rendered = rasterizer(splats, view.camera.to(device))
        rendered = replace(rendered, color=view.exposure.apply(rendered.color))
        write_image(view_file(out, view.name), painted(rendered, what))
        yield Progressed("render", done, len(views))
    yield Saved("render", f"{len(views)} pictures", out)
    return out


def before_after(folder: RunFolder, photos: Photos, rasterizer: Rasterizer) -> Events[Path]:
    """The strips of a finished run, in its `pictures/`; the product is the contact sheet.

    Args:
        folder: of the run.
        photos: of all views, held-out ones too.
        rasterizer: paints on the photos' device.
    """
    sheet = folder.path / STAGE / SHEET_NAME
    if sheet.exists():
        yield Skipped(STAGE, sheet)
        return sheet
    hole_files = {view.name: view_file(folder.path / "remove" / "holes", view.name) for view in photos.views}
    hole_files = {name: file for name, file in hole_files.items() if file.exists()}  # held-out views have none
    return (
        yield from draw_strips(
            photos,
            {name: read_mask(file)[None].to(photos.device) for name, file in hole_files.items()},
            reconstructed=read_splats(folder.product("reconstruct")),
            kept=read_splats(folder.product("remove")),
            filled=read_splats(folder.product("inpaint")),
            rasterizer=rasterizer,
            out=folder.stage(STAGE),
        )
    )


@torch.no_grad()
def draw_strips(
    photos: Photos,
    holes: Mapping[str, Float[Tensor, "1 1 h w"]],
    *,
    reconstructed: Splats,
    kept: Splats,
    filled: Splats,
    rasterizer: Rasterizer,
    out: Path,
) -> Events[Path]:
    """A strip a view (`out/NAME.png`) and a contact sheet of a few views spread over the capture (`out/contact-sheet.png`).

    A strip shows, from left to right: the photo, the photo with its hole tinted, the reconstruction, what is left after the
    removal, the filled scene, the filled scene's depth.

    Args:
        photos: the views to draw.
        holes: by view name, 1 = painted by the prior; views that have none here show their fill mask.
        reconstructed: the splats before the removal.
        kept: those after it.
        filled: the finished scene.
        rasterizer: paints on the photos' device.
        out: the folder of the pictures.
    """
    scenes = [splats.to(photos.device) for splats in (reconstructed, kept, filled)]
    on_sheet = spread([photo.name for photo in photos.views], SHEET_VIEWS)
    rows = []
    for done, photo in enumerate(photos, start=1):
        panels = dict(_panels(photo, holes.get(photo.name, photo.fill), scenes, rasterizer))
        write_strip(view_file(out, photo.name), panels, longest_px=STRIP_PANEL_PX)
        if photo.name in on_sheet:
            rows.append(panels)
        yield Progressed(STAGE, done, len(photos))
    sheet = out / SHEET_NAME
    write_sheet(sheet, rows)
    yield Saved(STAGE, "before and after", sheet)
    return sheet


@torch.no_grad()
def draw_synthetic_views(
    cameras: Sequence[Cameras], *, kept: Splats, filled: Splats, rasterizer: Rasterizer, out: Path
) -> Events[Path]:
    """A sheet of views that are no photos, before and after they were filled.

    Args:
        cameras: at least one, on the splats' device.
        kept: the splats before.
        filled: and after.
        rasterizer: paints.
        out: the file.
    """
    rows = []
    for camera in spread(cameras, SHEET_VIEWS):
        before, after = rasterizer(kept, camera), rasterizer(filled, camera)
        rows.append({"before": painted(before, "color"), "filled": painted(after, "color"), "depth": painted(after, "depth")})
    write_sheet(out, rows)
    yield Saved(STAGE, "views that no photo shows", out)
    return out


def painted(rendered: Rendered, what: What) -> Float[Tensor, "3 h w"]:
    """One rendered view as a picture: its color, its alpha in gray, or its depth in colors from near (bright) to far (dark)."""
    match what:
        case "color":
            return rendered.color[0].clamp(0, 1)
        case "alpha":
            return rendered.alpha[0].clamp(0, 1).expand(3, -1, -1)
        case "depth":
            return colored_depth(rendered.depth[0])


def colored_depth(depth: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    """Disparity in colors, stretched between its 2nd and 98th percentile; unknown depth (0) is black."""
    known = depth[0] > 0
    if not known.any():
        return depth.new_zeros(3, *depth.shape[1:])
    disparity = torch.where(known, 1 / depth[0].clamp_min(1e-9), 0.0)
    farthest, nearest = (_percentile(disparity[known], share) for share in (0.02, 0.98))
    place = ((nearest - disparity) / (nearest - farthest).clamp_min(1e-12)).clamp(0, 1)
    return torch.where(known, _ramp(place), 0.0)


def _panels(
    photo: Photo, hole: Float[Tensor, "1 1 h w"], scenes: Sequence[Splats], rasterizer: Rasterizer
) -> Iterator[tuple[str, Float[Tensor, "3 h w"]]]:
    yield "photo", photo.image[0]
    yield "to be filled", _tinted(photo.image[0], hole[0].to(photo.image))
    rendered = [rasterizer(splats, photo.camera) for splats in scenes]
    for caption, picture in zip(("reconstructed", "removed", "filled"), rendered, strict=True):
        yield caption, painted(picture, "color")
    yield "depth", painted(rendered[-1], "depth")


def _tinted(image: Float[Tensor, "3 h w"], hole: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    color = torch.tensor(HOLE_COLOR).to(image)[:, None, None]
    return image + 0.6 * hole * (color - image)


def _ramp(place: Float[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    colors = torch.tensor(NEAR_TO_FAR).to(place)
    at = place * (len(colors) - 1)
    left = at.floor().long().clamp(max=len(colors) - 2)
    share = (at - left)[..., None]
    return (colors[left] * (1 - share) + colors[left + 1] * share).permute(2, 0, 1)


def _percentile(values: Float[Tensor, " n"], share: float) -> Float[Tensor, ""]:
    # torch.quantile refuses more than 16 million values.
    return values.sort().values[round(share * (len(values) - 1))]
