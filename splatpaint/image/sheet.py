"""Sheets and strips of small pictures under their captions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from splatpaint.image.files import write_image
from splatpaint.image.resample import resize_area

CAPTION_PX = 14
"""Height of the caption above a picture."""
SHEET_PANEL_PX = 200
"""Longest side of one picture of a sheet."""


def write_sheet(path: Path, rows: Sequence[Mapping[str, Float[Tensor, "3 h w"]]]) -> None:
    """Rows of pictures, sRGB in [0, 1] by caption."""
    _save(_stacked([_row(panels, SHEET_PANEL_PX) for panels in rows]), path)


def write_strip(path: Path, panels: Mapping[str, Float[Tensor, "3 h w"]], *, longest_px: int) -> None:
    """One row of pictures, sRGB in [0, 1] by caption, the longest side of each cut down to `longest_px`."""
    _save(_row(panels, longest_px), path)


def _row(panels: Mapping[str, Float[Tensor, "3 h w"]], longest_px: int) -> Image.Image:
    pictures = [_captioned(caption, picture, longest_px) for caption, picture in panels.items()]
    row = Image.new("RGB", (sum(picture.width + 2 for picture in pictures) - 2, pictures[0].height), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + 2
    return row


def _captioned(caption: str, picture: Float[Tensor, "3 h w"], longest_px: int) -> Image.Image:
    height, width = picture.shape[1:]
    shrink = min(1.0, longest_px / max(height, width))
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = resize_area(picture[None], width=width, height=height)[0]
    pixels = small.cpu().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous()
    panel = Image.new("RGB", (width, height + CAPTION_PX), "white")
    panel.paste(Image.fromarray(pixels.numpy()), (0, CAPTION_PX))
    ImageDraw.Draw(panel).text((2, 0), caption, fill="black", font=ImageFont.load_default(CAPTION_PX - 3))
    return panel


def _stacked(rows: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height + 4 for row in rows) - 4), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + 4
    return sheet


def _save(picture: Image.Image, path: Path) -> None:
    write_image(path, torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)
