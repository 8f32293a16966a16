from dataclasses import replace

import torch

from splatpaint.objectives.disparity import Disparity, DisparityConfig, pearson
from tests.support.steps import step_of

HOLE = torch.zeros(1, 1, 24, 24)
HOLE[..., 8:16, 8:16] = 1
RAMP = torch.linspace(0.5, 2.0, 24).expand(1, 1, 24, 24).contiguous()


def terms_of(disparity, hint):
    step = step_of(torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24), holes=HOLE, disparity_hint=hint)
    step = replace(step, rendered=replace(step.rendered, depth=1 / disparity))
    return Disparity(DisparityConfig(boundary_px=2.0))(step)


def test_scale_and_shift_of_the_hint_cost_nothing():
    for scale, shift in ((1.0, 0.0), (7.0, -3.0), (0.01, 100.0)):
        terms = terms_of(RAMP, scale * RAMP + shift)
        assert abs(float(terms["correlation"])) < 1e-4 * 0.05
        assert float(terms["ranking"]) == 0


def test_the_wrong_order_costs():
    right, wrong = terms_of(RAMP, RAMP), terms_of(RAMP, -RAMP)
    torch.testing.assert_close(wrong["correlation"], torch.tensor(0.1))
    assert float(wrong["ranking"]) > 100 * float(right["ranking"])


def test_what_is_far_from_the_hole_has_no_say():
    disparity = RAMP.clone().requires_grad_(True)
    hint = RAMP.flip(-1)
    sum(terms_of(disparity, hint).values()).backward()
    far = torch.ones_like(HOLE)
    far[..., 6:18, 6:18] = 0
    assert disparity.grad is not None
    assert (disparity.grad * far).abs().max() == 0
    assert (disparity.grad * HOLE).abs().max() > 0


def test_descending_turns_the_fill_the_way_the_network_sees_it():
    disparity = RAMP.flip(-1).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([disparity], lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        sum(terms_of(disparity, 3 * RAMP - 1).values()).backward()
        optimizer.step()
    inside = HOLE > 0
    assert pearson(disparity.detach()[inside], RAMP[inside]) > 0.95


def test_without_a_hint_there_is_no_cost():
    assert all(float(value) == 0 for value in terms_of(RAMP, None).values())


def test_constants_are_correlated_with_nothing():
    assert pearson(torch.ones(5), torch.arange(5.0)) == 0
