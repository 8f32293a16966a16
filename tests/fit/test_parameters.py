import torch

from splatpaint.fit.parameters import LearningRates, SplatParameters
from tests.support.scenes import cloud


def trained(steps: int, parameters: SplatParameters, first: int = 1) -> SplatParameters:
    for step in range(first, first + steps):
        splats = parameters.splats(parameters.sh_degree)
        sum((step * value).square().sum() for value in splats.tensors().values()).backward()
        parameters.step(step / 10)
    return parameters


def test_splats_come_back_as_they_were_given():
    given = cloud(7, degree=2)
    parameters = SplatParameters(given, LearningRates())
    assert parameters.sh_degree == 2
    for name, value in parameters.splats(2).tensors().items():
        assert torch.equal(value, given.tensors()[name])
    assert parameters.splats(1).sh_degree == 1


def test_training_leaves_the_given_splats_alone():
    given = cloud(7, degree=1)
    before = given.means.clone()
    trained(2, SplatParameters(given, LearningRates()))
    assert torch.equal(given.means, before)


def test_the_first_step_moves_every_property_by_its_rate():
    # Adam's first step is the learning rate times the sign of the gradient.
    rates = LearningRates()
    given = cloud(5)
    after = trained(1, SplatParameters(given, rates)).splats(0)
    means_rate = rates.means * (rates.means_final / rates.means) ** 0.1
    torch.testing.assert_close((after.means - given.means).abs(), torch.full_like(given.means, means_rate), rtol=1e-2, atol=0)
    torch.testing.assert_close(
        (after.log_scales - given.log_scales).abs(), torch.full_like(given.log_scales, rates.scales), rtol=1e-2, atol=0
    )


def test_a_restored_training_continues_exactly():
    straight = trained(4, SplatParameters(cloud(5, degree=1), LearningRates()))
    half = trained(2, SplatParameters(cloud(5, degree=1), LearningRates()))
    other = SplatParameters(cloud(3, degree=1, seed=9), LearningRates())
    other.restore(half.state())
    trained(2, other, first=3)
    for name, value in straight.splats(1).tensors().items():
        assert torch.equal(value, other.splats(1).tensors()[name]), name


def test_others_put_in_their_place_are_trained_on_from_there():
    parameters = trained(2, SplatParameters(cloud(5, degree=1), LearningRates()))
    others = cloud(5, degree=1, seed=1)
    parameters.assign(others)
    for name, value in parameters.splats(1).tensors().items():
        assert torch.equal(value, others.tensors()[name])
    moved = trained(1, parameters, first=3).splats(1).means - others.means
    assert 0 < moved.abs().max() < 2 * LearningRates().means
