"""What a round's training is made of: objectives, samplers of novel views, and the hint of depth for seeds."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from splatpaint.fill.config import FillConfig
from splatpaint.fill.novel_views import NovelViewSampler, Scene
from splatpaint.fill.seeding import DepthHint
from splatpaint.fill.state import FillState
from splatpaint.fill.tools import Tools
from splatpaint.fill.views import ObservedView
from splatpaint.fit.loop import LoopConfig
from splatpaint.fit.parameters import SplatParameters
from splatpaint.objectives.build import build_objectives
from splatpaint.objectives.disparity import DisparityConfig
from splatpaint.objectives.protocol import Objective
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.depth import DepthPrior
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.streams import generator


def fill_objectives(state: FillState, tools: Tools, config: FillConfig) -> list[Objective]:
    """The objectives of every round; disparity is compared only where a network estimates it."""
    configs = [each for each in config.objectives if tools.depth is not None or not isinstance(each, DisparityConfig)]
    px = max(view.camera.px(1) for view in state.views)
    configs = [
        replace(each, boundary_px=px * each.boundary_px) if isinstance(each, DisparityConfig) else each for each in configs
    ]
    return build_objectives(configs, prior=tools.prior, device=tools.device, seed=tools.seed)


def novel_view_samplers(
    state: FillState, parameters: SplatParameters, loop: LoopConfig, tools: Tools, config: FillConfig
) -> list[NovelViewSampler]:
    """The samplers of novel views that the settings name."""

    def scene_now() -> Scene:
        return Scene(state.frozen, parameters.splats(parameters.sh_degree).detach(), parameters.is_fill)

    return [
        NovelViewSampler(
            each,
            state.photo_cameras,
            state.center,
            tools.prior,
            tools.rasterizer,
            scene=scene_now,
            progress=loop.progress,
            generator=generator(tools.seed, round=state.round, sampler=place),
        )
        for place, each in enumerate(config.samplers)
    ]


def hint_from_prior(prior: Prior, depth: DepthPrior, seed: int) -> DepthHint:
    """Estimates disparity in a view as the prior paints it."""

    def hint(view: ObservedView) -> Float[Tensor, "1 1 h w"]:
        noise = generator(seed)
        return depth(paint(prior, PriorQuery(view.image, view.unknown), steps=1, generator=noise))

    return hint
