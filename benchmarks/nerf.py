"""A compact NeRF, the baseline that splats are measured against: a factorized radiance field in plain torch.

Density and color features are sums of plane-times-line products (TensoRF's vector-matrix factors, Chen et al. 2022) over a
contracted unbounded space (mip-NeRF 360, eq. 10); a small network turns features and direction into color. It runs on any
processor, without compiled extensions, and is fitted for as many seconds as it is given.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import Capture

CHUNK_RAYS = 4096
"""Rays per batch when a whole image is rendered."""


@dataclass(frozen=True)
class NerfConfig:
    """Size and training of the field."""

    seconds: float = 120.0
    steps: int | None = None
    """Number of steps; replaces `seconds` if given."""
    rays: int = 2048
    """Rays per step, sampled from all photos."""
    samples: int = 96
    """Samples per ray."""
    resolution: int = 160
    """Resolution of the factor planes."""
    density_channels: int = 8
    color_channels: int = 16
    near: float = 0.05
    """In world units (the median viewing depth is 1)."""
    far: float = 30.0
    rate_planes: float = 2e-2
    rate_network: float = 2e-3
    smoothness: float = 1e-3
    """Weight of the squared differences of neighboring density factors."""


class Field(nn.Module):
    """Density and color as functions of the position."""

    def __init__(self, config: NerfConfig, center: Float[Tensor, "3"], radius: float) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("center", center)
        self.radius = radius
        side = config.resolution

        def factors(channels: int) -> tuple[nn.Parameter, nn.Parameter]:
            return (
                nn.Parameter(0.1 * torch.randn(3, channels, side, side)),
                nn.Parameter(0.1 * torch.randn(3, channels, side, 1)),
            )

        self.density_planes, self.density_lines = factors(config.density_channels)
        self.color_planes, self.color_lines = factors(config.color_channels)
        self.network = nn.Sequential(nn.Linear(3 * config.color_channels + 3, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(
        self, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density per world unit, and color in [0, 1] seen along unit directions."""
        where = contracted((points - self.center) / self.radius) / 2
        density = F.softplus(10 * _products(self.density_planes, self.density_lines, where).sum(dim=(0, 1)) - 2)
        features = _products(self.color_planes, self.color_lines, where).flatten(0, 1).T
        return density, torch.sigmoid(self.network(torch.cat([features, directions], dim=1)))

    def roughness(self) -> Tensor:
        """Mean squared difference of neighbors on the density planes."""
        planes = self.density_planes
        return planes.diff(dim=2).square().mean() + planes.diff(dim=3).square().mean()


def contracted(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Contraction of space to a ball of radius 2 that keeps the unit ball (mip-NeRF 360, eq. 10)."""
    length = x.norm(dim=1, keepdim=True).clamp_min(1e-9)
    return torch.where(length <= 1, x, (2 - 1 / length) * x / length)


def march(
    field: Field, eyes: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], *, jitter: bool
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Color, distance and opacity of rays; samples are uniform in inverse distance."""
    config = field.config
    count = len(eyes)
    places = torch.arange(config.samples, device=eyes.device).expand(count, -1)
    places = (places + (torch.rand(count, config.samples, device=eyes.device) if jitter else 0.5)) / config.samples
    t = 1 / ((1 - places) / config.near + places / config.far)
    points = eyes[:, None] + t[..., None] * directions[:, None]
    density, color = field(points.reshape(-1, 3), directions[:, None].expand_as(points).reshape(-1, 3))
    steps = torch.cat([t.diff(dim=1), t[:, -1:]], dim=1)
    alpha = 1 - torch.exp(-density.reshape(t.shape) * steps)
    light = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1]], dim=1), dim=1)
    weight = alpha * light
    opacity = weight.sum(dim=1)
    distance = (weight * t).sum(dim=1) / opacity.clamp_min(1e-6)
    return (weight[..., None] * color.reshape(*t.shape, 3)).sum(dim=1), distance, opacity


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays with their target colors."""

    eyes: Float[Tensor, "n 3"]
    directions: Float[Tensor, "n 3"]
    """Of unit length."""
    colors: Float[Tensor, "n 3"]


def fit_nerf(capture: Capture, config: NerfConfig, *, seed: int, device: torch.device) -> Field:
    """A field fitted to all usable pixels of the views, for the time given in the config."""
    photos = Photos(capture.views, device)
    rays = rays_of([photo.camera for photo in photos], [photo.image for photo in photos], [photo.usable for photo in photos])
    field = new_field(capture, config, seed=seed, device=device)
    trainer = Trainer(field)
    for spent in budget(config):
        trainer.step(trainer.photometric(rays), spent)
    return field


def new_field(capture: Capture, config: NerfConfig, *, seed: int, device: torch.device) -> Field:
    """An untrained field around most of the capture's points."""
    torch.manual_seed(seed)
    assert capture.points is not None
    center = capture.points.positions.median(dim=0).values.to(device)
    radius = float((capture.points.positions.to(device) - center).norm(dim=1).quantile(0.8))
    return Field(config, center, radius).to(device)


class Trainer:
    """A field with its Adam optimizer."""

    def __init__(self, field: Field) -> None:
        self.field = field
        config = field.config
        factors = [parameter for name, parameter in field.named_parameters() if not name.startswith("network")]
        groups = [
            {"params": factors, "lr": config.rate_planes},
            {"params": field.network.parameters(), "lr": config.rate_network},
        ]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def photometric(self, rays: Rays) -> Tensor:
        """The loss of randomly sampled rays."""
        config = self.field.config
        chosen: Int[Tensor, " n"] = torch.randint(len(rays.eyes), (config.rays,), device=rays.eyes.device)
        color, _, _ = march(self.field, rays.eyes[chosen], rays.directions[chosen], jitter=True)
        return F.mse_loss(color, rays.colors[chosen]) + config.smoothness * self.field.roughness()

    def step(self, loss: Tensor, spent: float) -> None:
        """One optimizer step; learning rates decay to a tenth as the spent share of the budget rises to 1."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * 0.1**spent
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def budget(config: NerfConfig) -> Iterator[float]:
    """Yields the spent share of the budget until it is spent."""
    if config.steps is not None:
        yield from (step / config.steps for step in range(config.steps))
        return
    start = time.perf_counter()
    while (spent := (time.perf_counter() - start) / config.seconds) < 1:
        yield spent


@torch.no_grad()
def draw_nerf(field: Field, camera: Cameras) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]]:
    """Color and z-depth (0 where the field is empty) seen by a camera (a batch of one)."""
    color, depth, alpha = render(field, camera)
    return color.clamp(0, 1), torch.where(alpha > 0.5, depth, torch.zeros_like(depth))


def render(
    field: Field, camera: Cameras
) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"], Float[Tensor, "1 1 h w"]]:
    """Color, expected z-depth and opacity of every pixel of a camera (a batch of one), differentiable."""
    eyes, directions, cosines = _rays(camera)
    parts = [
        march(field, eye, direction, jitter=False)
        for eye, direction in zip(eyes.split(CHUNK_RAYS), directions.split(CHUNK_RAYS), strict=True)
    ]
    color, distance, opacity = (torch.cat(each) for each in zip(*parts, strict=True))
    shape = (camera.height, camera.width)
    return color.T.reshape(1, 3, *shape), (distance * cosines).reshape(1, 1, *shape), opacity.reshape(1, 1, *shape)


def _rays(camera: Cameras) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """Origin, unit direction, and z-depth per unit of distance of every pixel."""
    in_camera = camera.rays()[0].reshape(-1, 3)
    cosines = 1 / in_camera.norm(dim=1)
    directions = in_camera @ camera.world_from_cam[0, :3, :3].T * cosines[:, None]
    return camera.centers.expand_as(directions), directions, cosines


def rays_of(
    cameras: Sequence[Cameras], images: Sequence[Float[Tensor, "1 3 _ _"]], usable: Sequence[Float[Tensor, "1 1 _ _"]]
) -> Rays:
    """The rays of the usable pixels of images."""
    found = []
    for camera, image, good in zip(cameras, images, usable, strict=True):
        eyes, directions, _ = _rays(camera)
        chosen = good.flatten() > 0
        found.append((eyes[chosen], directions[chosen], image[0].flatten(1).T[chosen]))
    return Rays(*(torch.cat(each) for each in zip(*found, strict=True)))


def _products(
    planes: Float[Tensor, "3 c r r"], lines: Float[Tensor, "3 c r 1"], where: Float[Tensor, "n 3"]
) -> Float[Tensor, "3 c n"]:
    """Products of plane and line factors, for the three ways to split the axes; `where` is in [-1, 1]."""
    x, y, z = where.T
    on_planes = torch.stack([torch.stack(pair, dim=-1) for pair in ((x, y), (x, z), (y, z))])[:, None]
    rest = torch.stack([z, y, x])
    on_lines = torch.stack([torch.zeros_like(rest), rest], dim=-1)[:, None]
    plane = F.grid_sample(planes, on_planes, mode="bilinear", align_corners=True)[:, :, 0]
    line = F.grid_sample(lines, on_lines, mode="bilinear", align_corners=True)[:, :, 0]
    return plane * line
