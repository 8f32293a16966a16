"""Small scenes to render."""

import torch
from torch import Tensor

from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.splats import SH_C0, Splats


def one_camera(width: int = 33, height: int = 25, focal: float = 40.0) -> Cameras:
    """A camera at the origin that looks along +z; its optical axis hits the center of the middle pixel if sizes are odd."""
    K = torch.tensor([[[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]])
    return Cameras(K=K, cam_from_world=torch.eye(4)[None], width=width, height=height)


def orbit(views: int, width: int = 32, height: int = 24, distance: float = 4.0, focal: float = 30.0) -> Cameras:
    """Cameras on a circle around the origin, slightly above it (y is down), all looking at it."""
    angles = torch.arange(views) * (2 * torch.pi / views) + 0.3
    eyes = torch.stack([angles.sin(), torch.full_like(angles, -0.3), -angles.cos()], dim=1) * distance
    K = one_camera(width, height, focal).K.repeat(views, 1, 1)
    up = torch.tensor([0.0, -1.0, 0.0])
    return Cameras(K=K, cam_from_world=look_at(eyes, torch.zeros(views, 3), up), width=width, height=height)


def splat_at(
    *means: tuple[float, float, float], scale: float = 0.1, opacity: float = 0.5, color: tuple[float, ...] = (0.8, 0.4, 0.2)
) -> Splats:
    """Round rgb splats of one color (0 to 1) at the given places."""
    n = len(means)
    return Splats(
        means=torch.tensor(means),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        log_scales=torch.full((n, 3), scale).log(),
        logit_opacities=torch.logit(torch.full((n,), opacity)),
        sh=((torch.tensor(color) - 0.5) / SH_C0).repeat(n, 1, 1),
    )


def cloud(n: int, *, degree: int = 0, channels: int = 3, spread: float = 1.0, seed: int = 0) -> Splats:
    """Random stretched splats around the origin, half transparent."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Splats(
        means=spread * normal(n, 3),
        quats=normal(n, 4),
        log_scales=0.4 * normal(n, 3) - 1.8,
        logit_opacities=normal(n),
        sh=0.4 * normal(n, (degree + 1) ** 2, channels),
        space="rgb" if channels == 3 else "latent",
    )


def tuned_for_gradcheck(*, degree: int = 0) -> tuple[Splats, Cameras]:
    """Three overlapping splats and one camera in float64, kept away from every cut where rendering has no derivative.

    Opacities stay far above the smallest alpha and below the largest, colors are positive, footprints lie inside the image.
    """
    splats = cloud(3, degree=degree, spread=0.25, seed=4).to(torch.float64)
    sh = 0.2 * splats.sh
    sh[:, 0] += 0.6
    splats = Splats(
        means=splats.means,
        quats=splats.quats,
        log_scales=0.3 * splats.log_scales - 0.9,
        logit_opacities=0.3 * splats.logit_opacities,
        sh=sh,
    )
    return splats, orbit(1, width=9, height=7, focal=8.0).to(torch.float64)
