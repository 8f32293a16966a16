"""Poses that no photo was taken from: what the prior makes of the fill there teaches it too.

The sample loss of ReconFusion (sec. 3.3): the rendering is noised to a random level, denoised in a few steps, and what comes
out is a target like any other. Its network was told the pose by a feature field; ours is told what surrounds the hole, which
is rendered, as is the hole itself. Samples are kept for a while and shown again, since one costs as much as many steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.fit.samplers import Example
from splatpaint.image.region import bounding_box
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.paths import between, shifted, turned_about
from splatpaint.scene.splats import Splats, concatenate

PoseKind = Literal["between", "jittered", "around"]
TRIES = 10
"""Poses looked at for one sample; a scene may leave no room for a camera but where there were some."""
NEAR_SHARE = 0.1
"""A camera stands in something if more than this share of its pixels is nearer than `nearest`."""


@dataclass(frozen=True)
class NovelConfig:
    """How much is learned from new poses, and which."""

    share: float = 0.0
    """Of the steps; 0 = none. ReconFusion weighs these losses the less the more photos there are."""
    kinds: tuple[PoseKind, ...] = ("between", "jittered", "around")
    """Drawn alike: between two photos, beside one, or around the hole."""
    kept: int = 20
    """So many samples are shown in turn."""
    refresh_every: int = 25
    """Steps until a new sample takes the place of the oldest."""
    denoise_steps: int = 10
    jitter: float = 0.05
    """A camera beside another is off by up to this share of its distance to the hole, along each axis."""
    around_deg: float = 10.0
    """A camera goes around the hole by up to this angle, in both directions."""
    least_hole: float = 0.002
    """A pose is of use if the fill covers this share of the picture."""
    nearest: float = 0.3
    """Share of the distance to the hole; see NEAR_SHARE."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.refresh_every < 1 or self.kept < 1 or not self.kinds:
            raise ConfigError(
                f"share {self.share} must lie in 0 to 1, refresh_every {self.refresh_every} and kept {self.kept} be at least "
                "1, and kinds must name one at least"
            )


@dataclass(frozen=True, eq=False)
class Look:
    """A scene from a new pose."""

    camera: Cameras
    color: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"]
    depth: Float[Tensor, "1 1 h w"]
    hole: Float[Tensor, "1 1 h w"]
    """1 where the fill shows."""


class NovelViews:
    """Samples of one round, made as they are asked for."""

    def __init__(
        self,
        cameras: Sequence[Cameras],
        center: Float[Tensor, " 3"],
        prior: Prior,
        rasterizer: Rasterizer,
        config: NovelConfig,
        *,
        seed: int,
    ) -> None:
        self.cameras, self.center = list(cameras), center
        self.prior, self.rasterizer, self.config = prior, rasterizer, config
        self.generator = torch.Generator().manual_seed(seed)
        self.samples: list[Example] = []
        self._tried: int | None = None

    def due(self) -> bool:
        """Whether the next step is to look from a new pose."""
        return float(torch.rand(1, generator=self.generator)) < self.config.share

    def example(self, step: int, progress: float, frozen: Splats, trained: Splats, boundary: int) -> Example | None:
        """A sample; a new one if it is time. None where no new pose shows the fill.

        Args:
            step: counts up.
            progress: share of the training that is done: the less, the more of the rendering is given up.
            frozen: splats that do not change.
            trained: the boundary, then the fill, as they are.
            boundary: so many are the boundary.
        """
        if self._tried is None or step - self._tried >= self.config.refresh_every:
            self._tried = step
            made = self._sampled(progress, frozen, trained, boundary)
            if made is not None:
                self.samples = [*self.samples, made][-self.config.kept :]
        if not self.samples:
            return None
        return self.samples[int(torch.randint(len(self.samples), (1,), generator=self.generator))]

    @torch.no_grad()
    def _sampled(self, progress: float, frozen: Splats, trained: Splats, boundary: int) -> Example | None:
        scene = concatenate([frozen, trained.detach()])
        is_fill = scene.means.new_zeros(len(scene), 1)
        is_fill[len(frozen) + boundary :] = 1
        for _ in range(TRIES):
            seen = look(propose(self.cameras, self.center, self.config, self.generator), scene, is_fill, self.rasterizer)
            if is_useful(seen, self.center, self.config):
                break
        else:
            return None
        weakest = 1 - progress
        strength = weakest + (1 - weakest) * float(torch.rand(1, generator=self.generator))
        shown = (seen.alpha > 0.5).to(seen.hole)
        painted = paint(
            self.prior,
            PriorQuery(seen.color, torch.maximum(seen.hole, 1 - shown)),
            start=seen.color,
            strength=strength,
            steps=self.config.denoise_steps,
            generator=self.generator,
        )
        box = bounding_box(seen.hole[0], grow=0.25, least_px=16)
        assert box is not None, "the pose shows the fill"
        camera = seen.camera.cropped(box.left, box.top, box.width, box.height)
        behind = frozen[torch.nonzero(self.rasterizer(frozen, camera).radii[0] > 0)[:, 0]]
        return Example(camera, box.crop(painted), box.crop(shown), box.crop(seen.hole), behind)


def propose(
    cameras: Sequence[Cameras], center: Float[Tensor, " 3"], config: NovelConfig, generator: torch.Generator
) -> Cameras:
    """A random pose near those of the cameras, of one of the configured kinds."""

    def pick(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator))

    place = pick(len(cameras))
    camera = cameras[place]
    draws = torch.rand(3, generator=generator)
    match config.kinds[pick(len(config.kinds))]:
        case "between":
            other = cameras[(place + 1 + pick(len(cameras) - 1)) % len(cameras)] if len(cameras) > 1 else camera
            return between(camera, other, float(draws[0]))
        case "jittered":
            reach = config.jitter * float((camera.centers[0] - center).norm())
            return shifted(camera, ((2 * draws - 1) * reach).to(center))
        case "around":
            right, up = ((2 * draws[:2] - 1) * config.around_deg).tolist()
            return turned_about(camera, center, right, up)


@torch.no_grad()
def look(camera: Cameras, scene: Splats, is_fill: Float[Tensor, "n 1"], rasterizer: Rasterizer) -> Look:
    """The scene from a pose, and where the fill shows in it: the hole, found by painting the splats by what they are."""
    rendered = rasterizer(scene, camera)
    fill = rasterizer(scene, camera, features=is_fill).color
    hole = (fill > 0.5 * rendered.alpha) & (rendered.alpha > 0.5)
    return Look(camera, rendered.color.clamp(0, 1), rendered.alpha, rendered.depth, hole.to(fill))


def is_useful(seen: Look, center: Float[Tensor, " 3"], config: NovelConfig) -> bool:
    """Whether a pose shows enough of the fill, more of what is known, and stands in nothing."""
    unknown = torch.maximum(seen.hole, (seen.alpha <= 0.5).to(seen.hole))
    if float(seen.hole.mean()) < config.least_hole or float(unknown.mean()) > 0.5:
        return False
    distance = config.nearest * float((seen.camera.centers[0] - center).norm())
    return float(((seen.depth > 0) & (seen.depth < distance)).float().mean()) <= NEAR_SHARE
