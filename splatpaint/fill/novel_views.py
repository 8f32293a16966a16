"""Poses that no photo was taken from: what the prior makes of the fill there supervises it too.

The sample loss of ReconFusion (sec. 3.3): the rendering is noised to a random level, denoised in a few steps, and the result is
a target like any other. ReconFusion's network is told the pose by a feature field; this prior is told what surrounds the hole,
which is rendered, as is the hole itself. Samples are kept for a while and shown again, since one costs as much as many steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.fit.samplers import Example
from splatpaint.image.region import bounding_box
from splatpaint.masks.visibility import VISIBLE
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.paths import between, shifted, turned_about
from splatpaint.scene.splats import Splats, concatenate

PoseKind = Literal["between", "jittered", "around"]
MAX_TRIES = 10
"""Poses tried for one sample; a scene may leave little room for cameras."""
MIN_HOLE = 0.002
"""A pose is useful if the fill covers this share of its image."""
NEAREST = 0.3
"""Depth, as a share of the distance to the hole, at which a pixel is too near."""
MAX_TOO_NEAR = 0.1
"""A camera is inside something if more than this share of its pixels is too near."""
CONTEXT = 0.25
"""A sample is cropped around its hole, grown on each side by this share of its size."""
BOUNDARY_PX = 16
"""And by this at least; pixels of a 480-px image."""


@dataclass(frozen=True)
class NovelViewsConfig:
    """How often a step looks from a novel pose, and from which."""

    RENAMED: ClassVar[dict[str, str]] = {"least_hole": "", "nearest": ""}

    kind: Literal["novel_views"] = "novel_views"
    share: float = 0.2
    """Of the steps. ReconFusion weighs such losses the less the more photos there are."""
    kinds: tuple[PoseKind, ...] = ("between", "jittered", "around")
    """Drawn with equal chance: between two photos, beside one, or around the hole."""
    kept: int = 20
    """Samples that are shown in turn."""
    refresh_every: int = 25
    """Steps until a new sample replaces the oldest."""
    denoise_steps: int = 10
    """Sampler steps."""
    jitter: float = 0.05
    """A camera beside another is moved along each axis by up to this share of its distance to the hole."""
    around_deg: float = 10.0
    """A camera goes around the hole by up to this angle, in both directions."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.refresh_every < 1 or self.kept < 1 or not self.kinds:
            raise ConfigError(
                f"share {self.share} must lie in 0 to 1, refresh_every {self.refresh_every} and kept {self.kept} be at least "
                "1, and kinds must name one at least"
            )


@dataclass(frozen=True, eq=False)
class NovelRender:
    """A scene from a novel pose."""

    camera: Cameras
    color: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"]
    depth: Float[Tensor, "1 1 h w"]
    hole: Float[Tensor, "1 1 h w"]
    """1 where the fill shows."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The splats of a step."""

    frozen: Splats
    trained: Splats
    is_fill: Bool[Tensor, " m"]
    """Of the trained splats."""


class NovelViewSampler:
    """Samples of one round, made when they are asked for."""

    def __init__(
        self,
        config: NovelViewsConfig,
        cameras: Sequence[Cameras],
        center: Float[Tensor, " 3"],
        prior: Prior,
        rasterizer: Rasterizer,
        *,
        scene: Callable[[], Scene],
        progress: Callable[[int], float],
        generator: torch.Generator,
    ) -> None:
        """
        Args:
            config: see there.
            cameras: of the photos.
            center: of the fill, in the world.
            prior: paints.
            rasterizer: any.
            scene: the splats as they are now.
            progress: share of the training that is done after a step: the less, the stronger the noise.
            generator: of all draws.
        """
        self.config, self.cameras, self.center = config, list(cameras), center
        self.prior, self.rasterizer = prior, rasterizer
        self.scene, self.progress, self.generator = scene, progress, generator
        self.samples: list[Example] = []
        self._tried: int | None = None

    def is_due(self) -> bool:
        """Whether this step shall look from a novel pose: a draw."""
        return float(torch.rand(1, generator=self.generator)) < self.config.share

    def __call__(self, step: int) -> Example | None:
        """A sample, in the configured share of the steps; a new one if it is time. None where no novel pose shows the fill."""
        if not self.is_due():
            return None
        if self._tried is None or step - self._tried >= self.config.refresh_every:
            self._tried = step
            made = self._sampled(self.progress(step), self.scene())
            if made is not None:
                self.samples = [*self.samples, made][-self.config.kept :]
        if not self.samples:
            return None
        return self.samples[int(torch.randint(len(self.samples), (1,), generator=self.generator))]

    @torch.no_grad()
    def _sampled(self, progress: float, scene: Scene) -> Example | None:
        for _ in range(MAX_TRIES):
            camera = propose(self.cameras, self.center, self.config, self.generator)
            novel = render_novel(camera, scene, self.rasterizer)
            if is_useful(novel, self.center):
                break
        else:
            return None
        weakest = 1 - progress
        strength = weakest + (1 - weakest) * float(torch.rand(1, generator=self.generator))
        opaque = (novel.alpha > VISIBLE).to(novel.hole)
        painted = paint(
            self.prior,
            PriorQuery(novel.color, torch.maximum(novel.hole, 1 - opaque)),
            start=novel.color,
            strength=strength,
            steps=self.config.denoise_steps,
            generator=self.generator,
        )
        box = bounding_box(novel.hole[0], grow=CONTEXT, least_px=round(camera.px(BOUNDARY_PX)))
        assert box is not None, "the pose shows the fill"
        camera = novel.camera.cropped(box.left, box.top, box.width, box.height)
        frozen = scene.frozen[torch.nonzero(self.rasterizer(scene.frozen, camera).radii[0] > 0)[:, 0]]
        return Example(camera, box.crop(painted), box.crop(opaque), box.crop(novel.hole), frozen)


def propose(
    cameras: Sequence[Cameras], center: Float[Tensor, " 3"], config: NovelViewsConfig, generator: torch.Generator
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
def render_novel(camera: Cameras, scene: Scene, rasterizer: Rasterizer) -> NovelRender:
    """The scene from a pose; its hole is where fill splats make up most of an opaque pixel."""
    splats = concatenate([scene.frozen, scene.trained])
    is_fill = splats.means.new_zeros(len(splats), 1)
    is_fill[len(scene.frozen) :, 0] = scene.is_fill.to(is_fill)
    rendered = rasterizer(splats, camera)
    fill = rasterizer(splats, camera, features=is_fill).color
    hole = (fill > 0.5 * rendered.alpha) & (rendered.alpha > VISIBLE)
    return NovelRender(camera, rendered.color.clamp(0, 1), rendered.alpha, rendered.depth, hole.to(fill))


def is_useful(novel: NovelRender, center: Float[Tensor, " 3"]) -> bool:
    """Whether a pose shows enough of the fill, more of what is known, and is inside nothing."""
    unknown = torch.maximum(novel.hole, (novel.alpha <= VISIBLE).to(novel.hole))
    if float(novel.hole.mean()) < MIN_HOLE or float(unknown.mean()) > 0.5:
        return False
    nearest = NEAREST * float((novel.camera.centers[0] - center).norm())
    return float(((novel.depth > 0) & (novel.depth < nearest)).float().mean()) <= MAX_TOO_NEAR
