from dataclasses import dataclass

import torch

from splatpaint.fit.parameters import BOUNDARY, FILL, LearningRates, SplatParameters
from splatpaint.fit.routing import PROPERTY, backward_routed
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.objectives.protocol import Step, TrainableProperties
from splatpaint.render.reference import rasterize
from tests.support.scenes import cloud, orbit

CAMERA = orbit(4, width=16, height=12, focal=14.0)[1]
IS_BOUNDARY = torch.arange(12) % 3 == 1
"""Scattered: labels tell the groups, not places."""


@dataclass
class Louder:
    """A loss that nobody else has."""

    trains: TrainableProperties

    def __call__(self, step: Step) -> dict[str, torch.Tensor]:
        return {"louder": step.rendered.color.square().sum() + step.rendered.depth.sum()}


def routed(*objectives):
    group = torch.full((12,), FILL).byte()
    group[IS_BOUNDARY] = BOUNDARY
    parameters = SplatParameters(cloud(12, degree=1, seed=1), LearningRates(), group=group)
    splats = parameters.splats(1)
    rendered = rasterize(splats, CAMERA)
    rendered.means2d.retain_grad()
    ones = torch.ones(1, 1, 12, 16)
    target = torch.full_like(rendered.color, 0.3).detach()
    step = Step(rendered, target, ones, 0 * ones, splats, number=1, progress=0.5, generator=torch.Generator())
    losses = backward_routed(parameters, objectives, step)
    gradients = {name: value.grad for name, value in parameters.params.items()}
    return losses, gradients, rendered.means2d.grad


def test_what_an_objective_may_not_reach_gets_exactly_nothing():
    _, gradients, _ = routed(Louder(TrainableProperties(fill=("color", "opacity"), boundary=("color",))))
    for name, gradient in gradients.items():
        match PROPERTY[name]:
            case "geometry":
                assert gradient is None, name
            case "opacity":
                assert gradient[IS_BOUNDARY].abs().max() == 0 < gradient[~IS_BOUNDARY].abs().max()
            case "color":
                assert gradient[IS_BOUNDARY].abs().max() > 0 < gradient[~IS_BOUNDARY].abs().max()


def test_the_parts_of_a_loss_add_up_to_the_whole():
    whole = routed(Louder(TrainableProperties()))[1]
    parts = [
        Louder(TrainableProperties(fill=("color",), boundary=())),
        Louder(TrainableProperties(fill=("opacity", "geometry"), boundary=())),
        Louder(TrainableProperties(fill=(), boundary=("color", "opacity", "geometry"))),
    ]
    together = routed(*parts)[1]
    for name, gradient in whole.items():
        torch.testing.assert_close(together[name], gradient, msg=name)


def test_density_control_feels_only_what_reaches_geometry():
    pixels = Photometric(PhotometricConfig())
    alone = routed(pixels)[2]
    painter = Louder(TrainableProperties(fill=("color", "opacity"), boundary=("color", "opacity", "geometry")))
    assert alone.abs().max() > 0
    torch.testing.assert_close(routed(pixels, painter)[2], alone)
    assert (routed(pixels, Louder(TrainableProperties(boundary=())))[2] - alone).abs().max() > 1e-3


def test_what_reaches_nothing_pulls_at_nothing():
    _, gradients, _ = routed(Photometric(PhotometricConfig()), Louder(TrainableProperties(fill=(), boundary=())))
    for name, gradient in routed(Photometric(PhotometricConfig()))[1].items():
        assert torch.equal(gradients[name], gradient)


def test_all_losses_are_told_under_their_names():
    losses, _, _ = routed(Photometric(PhotometricConfig()), Louder(TrainableProperties(boundary=())))
    assert set(losses) == {"photometric", "louder"}


def test_two_objectives_of_one_name_add_up():
    once, twice = (routed(*[Photometric(PhotometricConfig())] * count) for count in (1, 2))
    torch.testing.assert_close(twice[0]["photometric"], 2 * once[0]["photometric"])
    torch.testing.assert_close(twice[1]["sh0"], 2 * once[1]["sh0"])
