"""First splats: round ones at given points."""

from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.neighbors import nearest_distances
from splatpaint.scene.splats import SH_C0, Splats


def round_splats(
    points: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"],
    scales: Float[Tensor, " n"],
    *,
    opacity: float,
    sh_degree: int,
) -> Splats:
    """Unrotated splats with the same standard deviation along every axis.

    Args:
        points: centers in world units.
        colors: sRGB in [0, 1].
        scales: standard deviations in world units.
        opacity: the same for all, in (0, 1).
        sh_degree: 0 to 3; all but the constant term start at zero.
    """
    sh = points.new_zeros(len(points), (sh_degree + 1) ** 2, 3)
    sh[:, 0] = (colors - 0.5) / SH_C0
    quats = points.new_zeros(len(points), 4)
    quats[:, 0] = 1
    return Splats(
        means=points,
        quats=quats,
        log_scales=scales.log()[:, None].repeat(1, 3),
        logit_opacities=points.new_full((len(points),), opacity).logit(),
        sh=sh,
    )


def spacing(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Root mean square distance to the three nearest other points (3DGS, sec. 5.2). Needs two points at least."""
    return nearest_distances(points, min(3, len(points) - 1)).square().mean(dim=1).sqrt()
