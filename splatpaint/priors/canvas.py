"""Canvases: several views of one place joined into one picture, so that a denoiser can attend from one view to another.

A pair is `[reference | target]` with the hole in the target (LeftRefill, and InConDiff's in-context view). A grid has two rows
of two views (NeRFiller). To any inpainting model a canvas is an ordinary wide picture. Priors made by `splatpaint prior train`
were trained on canvases, and their conditioning names the layout.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Layout = Literal["single", "pair", "grid"]
PANELS: dict[Layout, tuple[int, int]] = {"single": (1, 1), "pair": (1, 2), "grid": (2, 2)}
"""Rows and columns of panels."""


def join_panels(panels: Sequence[Float[Tensor, "v c h w"]], layout: Layout) -> Float[Tensor, "v c hc wc"]:
    """A canvas from panels in reading order.

    Raises:
        ValueError: if the number of panels is not that of the layout.
    """
    rows, columns = PANELS[layout]
    if len(panels) != rows * columns:
        raise ValueError(f"a {layout} has {rows * columns} panels, {len(panels)} are given")
    lines = [torch.cat(list(panels[row * columns : (row + 1) * columns]), dim=3) for row in range(rows)]
    return torch.cat(lines, dim=2)


def split_panels(canvas: Float[Tensor, "v c hc wc"], layout: Layout) -> list[Float[Tensor, "v c h w"]]:
    """The panels of a canvas in reading order."""
    rows, columns = PANELS[layout]
    return [panel for line in canvas.chunk(rows, dim=2) for panel in line.chunk(columns, dim=3)]
