from numpy.typing import ArrayLike
from torch import Tensor

Array = Tensor | ArrayLike

class Limits:
    def __init__(
        self, *, near_plane: float, blur_px: float, alpha_min: float, alpha_max: float, transmittance_min: float
    ) -> None: ...

def targets() -> list[str]:
    """Instruction sets that this processor can run, fastest last."""

def selected() -> str: ...
def select(name: str) -> None:
    """From now on, every call runs on that target; ValueError if it cannot run here."""

def project(
    means: Array,
    quats: Array,
    log_scales: Array,
    logit_opacities: Array,
    K: Array,
    cam_from_world: Array,
    width: int,
    height: int,
    limits: Limits,
    *,
    means2d: Array,
    shapes: Array,
    depths: Array,
    radii: Array,
    tiles: Array,
    threads: int,
) -> None: ...
def project_backward(
    means: Array,
    quats: Array,
    log_scales: Array,
    logit_opacities: Array,
    K: Array,
    cam_from_world: Array,
    width: int,
    height: int,
    limits: Limits,
    *,
    radii: Array,
    means2d_grad: Array,
    shapes_grad: Array,
    depths_grad: Array,
    means_out: Array,
    quats_out: Array,
    log_scales_out: Array,
    logit_opacities_out: Array,
    threads: int,
) -> None: ...
def shade(sh: Array, means: Array, center: Array, radii: Array, rgb: bool, *, colors: Array, threads: int) -> None: ...
def shade_backward(
    sh: Array,
    means: Array,
    center: Array,
    radii: Array,
    rgb: bool,
    *,
    colors: Array,
    colors_grad: Array,
    sh_out: Array | None,
    means_out: Array | None,
    threads: int,
) -> None: ...
def bin(
    means2d: Array,
    shapes: Array,
    depths: Array,
    radii: Array,
    tiles: Array,
    paint: Array,
    width: int,
    height: int,
    limits: Limits,
    *,
    records: Array,
    first_slots: Array,
    offsets: Array,
    splats: Array,
    blocks: Array,
    slots: Array,
    threads: int,
) -> int:
    """How many list entries there are in all tiles together."""

def composite(
    records: Array,
    offsets: Array,
    splats: Array,
    blocks: Array,
    limits: Limits,
    background: Array | None,
    *,
    color: Array,
    alpha: Array,
    depth: Array,
    stops: Array,
    threads: int,
) -> None: ...
def composite_backward(
    records: Array,
    offsets: Array,
    splats: Array,
    blocks: Array,
    limits: Limits,
    *,
    first_slots: Array,
    slots: Array,
    color: Array,
    alpha: Array,
    depth: Array,
    stops: Array,
    color_grad: Array | None,
    alpha_grad: Array | None,
    depth_grad: Array | None,
    partials: Array,
    means2d_out: Array | None,
    shapes_out: Array | None,
    depths_out: Array | None,
    paint_out: Array | None,
    add_paint: bool,
    threads: int,
) -> None: ...
def photometric(
    color: Array,
    target: Array,
    weight: Array,
    dssim: float,
    taps: Array,
    c1: float,
    c2: float,
    *,
    gradient: Array | None,
    threads: int,
) -> float:
    """The sum over views, channels and pixels, and its gradient by the color; see kernels.hpp."""

def multigrid(
    source: Array,
    holes: Array,
    sweeps: int,
    damping: float,
    coarsest_px: int,
    coarsest_sweeps: int,
    *,
    correction: Array,
    threads: int,
) -> None:
    """One V-cycle; see kernels.hpp."""
