import torch

from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.near_floaters import NearFloaters
from splatpaint.fit.parameters import BOUNDARY, FILL, LearningRates, SplatParameters
from splatpaint.scene.camera import Cameras
from tests.support.scenes import cloud

TOTAL = 1000


def density_of(splats, **settings) -> Density:
    settings = {"max_splats": 40, **settings}
    return Density(DensityConfig(**settings), SplatParameters(splats, LearningRates()))


def gradient_at(density: Density, strengths: torch.Tensor, times: int = 1) -> None:
    gradient = torch.zeros(1, len(strengths), 2)
    gradient[0, :, 0] = strengths
    for _ in range(times):
        density.observe(gradient, torch.ones(1, len(strengths), dtype=torch.int32), width=2, height=2)


def test_splats_with_the_largest_gradient_grow_within_the_budget():
    density = density_of(cloud(20), max_splats=25)
    gradient_at(density, torch.arange(20.0))
    density.refine(step=600, total=TOTAL)
    assert len(density.parameters) == 25


def test_splats_without_a_gradient_do_not_grow():
    density = density_of(cloud(20))
    gradient_at(density, torch.full((20,), 1e-5))
    density.refine(step=600, total=TOTAL)
    assert len(density.parameters) == 20


def test_large_splats_are_split_and_small_ones_copied():
    splats = cloud(2)
    splats.log_scales[0], splats.log_scales[1] = -1.0, -9.0
    density = density_of(splats)
    gradient_at(density, torch.ones(2))
    density.refine(step=600, total=TOTAL)
    after = density.parameters.splats(0)
    largest = after.log_scales.max(dim=1).values
    assert len(after) == 4
    assert (largest < -5).sum() == 2
    assert largest.max() < -1.0, "the parts of a split splat are smaller than it was"


def test_faint_splats_go():
    splats = cloud(6)
    splats.logit_opacities[:] = 2.0
    splats.logit_opacities[0] = -9.0
    density = density_of(splats)
    density.refine(step=600, total=TOTAL)
    assert len(density.parameters) == 5


def test_near_floaters_go_however_opaque():
    splats = cloud(6)
    splats.logit_opacities[:] = 9.0
    camera = Cameras(torch.tensor([[[50.0, 0, 50], [0, 50, 50], [0, 0, 1]]]), torch.eye(4)[None], width=100, height=100)
    splats.means[:] = torch.tensor([0.0, 0, 4])
    splats.means[2, 2] = 0.5
    parameters = SplatParameters(splats, LearningRates())
    density = Density(DensityConfig(), parameters, near_floaters=NearFloaters([camera], splats.means[3:], share=0.25))
    density.refine(step=600, total=TOTAL)
    assert (parameters.splats(0).means[:, 2] == 4).all()
    assert len(parameters) == 5


def test_the_allowance_rises_from_the_initial_number_to_the_maximum():
    density = density_of(cloud(10), max_splats=100, start=0.1, stop=0.5, every=100)
    allowances = [density.allowance(step, TOTAL) for step in (100, 200, 300, 400, 500)]
    assert allowances == sorted(allowances)
    assert 10 < allowances[0] < 100
    assert allowances[-1] == 100


def test_refinement_happens_only_in_its_share_of_the_training():
    density = density_of(cloud(3), start=0.1, stop=0.5, every=100)
    assert [step for step in range(1, TOTAL + 1) if density.is_due(step, TOTAL)] == [100, 200, 300, 400, 500]


def test_splats_that_were_not_drawn_do_not_dilute_the_mean():
    density = density_of(cloud(2))
    gradient = torch.ones(1, 2, 2)
    density.observe(gradient, torch.tensor([[1, 0]], dtype=torch.int32), width=2, height=2)
    density.observe(gradient, torch.tensor([[1, 1]], dtype=torch.int32), width=2, height=2)
    torch.testing.assert_close(density.gradient / density.drawn, torch.full((2,), 2**0.5))


def test_boundary_splats_neither_go_nor_grow_wherever_they_stand():
    splats = cloud(6)
    splats.logit_opacities[:] = -9.0
    splats.logit_opacities[3:] = 2.0
    group = torch.tensor([FILL, BOUNDARY, FILL, FILL, BOUNDARY, FILL]).byte()
    parameters = SplatParameters(splats, LearningRates(), group=group)
    density = Density(DensityConfig(max_splats=40), parameters)
    gradient_at(density, torch.ones(6))
    density.refine(step=600, total=TOTAL)
    after = parameters.splats(0)
    assert torch.equal(after.means[~parameters.is_fill], splats.means[[1, 4]]), "though one of them is faint"
    # Of the fill, two faint ones go and the other two are multiplied.
    assert int(parameters.is_fill.sum()) == 2 * 2
    assert len(parameters.group) == len(after)
