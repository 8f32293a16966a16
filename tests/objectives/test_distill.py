from dataclasses import replace

import pytest
import torch

from splatpaint.objectives.distill import Distill, DistillConfig, score_distillation
from splatpaint.priors.protocol import PriorQuery
from tests.support.gaussian_prior import GaussianPrior
from tests.support.scenes import splat_at
from tests.support.steps import step_of

MU, S = 0.3, 0.2
PRIOR = GaussianPrior(torch.tensor(MU), S)
HOLE = torch.zeros(1, 1, 16, 16)
HOLE[..., 4:12, 4:12] = 1


@pytest.mark.parametrize("weighting", ["spread", "signal_spread"])
@pytest.mark.parametrize("level", [100, 500, 900])
def test_the_gradient_is_what_the_exact_prior_says(weighting, level):
    a = float(PRIOR.noise.alpha_bar[level])
    x = torch.full((1, 3, 16, 16), 0.8, requires_grad=True)
    total = torch.zeros_like(x)
    draws = 400
    generator = torch.Generator().manual_seed(0)
    for _ in range(draws):
        eps = torch.randn(x.shape, generator=generator)
        loss = score_distillation(PRIOR, PriorQuery(x.detach(), HOLE), x, level, eps, weighting=weighting)
        total += torch.autograd.grad(loss, x)[0] / draws
    # E[eps_hat - eps] = sqrt(a (1 - a)) (x - mu) / (a s^2 + 1 - a)
    weight = (1 - a) * (a**0.5 if weighting == "signal_spread" else 1.0)
    expected = weight * (a * (1 - a)) ** 0.5 * (0.8 - MU) / (a * S**2 + 1 - a) / float(HOLE.sum())
    inside = total[(HOLE > 0).expand_as(total)].mean()
    torch.testing.assert_close(inside, torch.tensor(expected), rtol=0.03, atol=1e-6)
    assert (total * (1 - HOLE)).abs().max() == 0


def test_distilling_ends_at_the_mode():
    color = torch.full((1, 3, 16, 16), 0.9, requires_grad=True)
    objective = Distill(DistillConfig(weight=1.0, every=1), replace_native(PRIOR, 64))
    optimizer = torch.optim.Adam([color], lr=0.02)
    for number in range(150):
        step = step_of(color, torch.full((1, 3, 16, 16), 0.9), holes=HOLE, progress=number / 150, number=1, seed=number)
        optimizer.zero_grad()
        objective(step)["distill"].backward()
        optimizer.step()
    inside = color[(HOLE > 0).expand_as(color)].detach()
    assert (inside.mean() - MU).abs() < 0.05
    assert torch.equal(color[(HOLE == 0).expand_as(color)], torch.full((3 * 192,), 0.9))


def replace_native(prior, side):
    prior.native_px = prior.smallest_px = side
    return prior


def test_latent_splats_are_distilled_without_an_encoder():
    class Blind(GaussianPrior):
        class Codec:
            stride, channels = 2, 3

            def encode(self, images):  # noqa: ARG002
                raise AssertionError("nothing is to be encoded")

        def __init__(self):
            super().__init__(torch.tensor(MU), S)
            self.codec = self.Codec()

    latents = torch.full((1, 3, 8, 8), 0.9, requires_grad=True)
    splats = replace(splat_at((0.0, 0.0, 1.0)), space="latent")
    step = step_of(latents, torch.rand(1, 3, 16, 16), holes=HOLE, splats=splats)
    Distill(DistillConfig(weight=1.0, every=1), Blind())(step)["distill"].backward()
    moved = latents.grad.abs().sum(dim=1)[0] > 0
    assert torch.equal(moved, torch.nn.functional.max_pool2d(HOLE, 2)[0, 0] > 0)


def test_the_network_is_asked_every_few_steps_and_counts_as_many_times():
    color = torch.full((1, 3, 16, 16), 0.9, requires_grad=True)
    one, four = (Distill(DistillConfig(weight=1.0, every=every), PRIOR) for every in (1, 4))
    steps = [step_of(color, color.detach(), holes=HOLE, number=number, seed=7) for number in (4, 5)]
    assert four(steps[1])["distill"] == 0
    torch.testing.assert_close(four(steps[0])["distill"], 4 * one(steps[1])["distill"])
