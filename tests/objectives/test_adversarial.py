from dataclasses import replace

import pytest
import torch

from splatpaint.image.region import Box
from splatpaint.objectives.adversarial import Adversarial, AdversarialConfig, augmented, place_patch
from tests.support.steps import step_of

CPU = torch.device("cpu")
CONFIG = AdversarialConfig(weight=1.0, patch_px=16, width=8)
HOLE = torch.zeros(1, 1, 32, 32)
HOLE[..., 8:24, 8:24] = 1


def checkers(side=32, cell=2):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (((x // cell + y // cell) % 2).float() * 0.8 + 0.1).expand(1, 3, side, side).clone()


def test_pixels_outside_the_holes_get_exactly_no_gradient_and_have_no_say():
    color = torch.rand(1, 3, 32, 32, requires_grad=True)
    target = torch.rand(1, 3, 32, 32)
    losses = []
    for outside in (0.0, 1.0):
        color.grad = None
        objective = Adversarial(CONFIG, CPU, seed=0)
        elsewhere = torch.where(HOLE > 0, target, torch.full_like(target, outside))
        terms = objective(step_of(color, elsewhere, holes=HOLE))
        sum(terms.values()).backward()
        losses.append({name: float(value.detach()) for name, value in terms.items()})
        assert color.grad is not None
        assert (color.grad * (1 - HOLE)).abs().max() == 0
        assert (color.grad * HOLE).abs().max() > 0
    assert losses[0] == losses[1]


def test_a_flat_fill_is_driven_to_the_texture_of_the_painted_one():
    generator = torch.Generator().manual_seed(0)
    fill = (0.5 + 0.02 * torch.randn(1, 3, 32, 32, generator=generator)).requires_grad_(True)
    optimizer = torch.optim.Adam([fill], lr=0.02)
    objective = Adversarial(replace(CONFIG, start=0.0, ramp=0.0, features=0.1), CPU, seed=0)
    wanted = float(checkers()[..., 8:24, 8:24].mean(dim=1).std())
    before = float(fill[..., 8:24, 8:24].detach().mean(dim=1).std())
    for number in range(200):
        shift = number % 4  # a texture, wherever it lies: the target is never the same picture twice in a row
        terms = objective(step_of(fill, checkers().roll(shift, -1), holes=HOLE, seed=number))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    after = float(fill[..., 8:24, 8:24].detach().mean(dim=1).std())
    assert before < 0.05 * wanted
    assert after > 0.4 * wanted


def test_the_discriminator_comes_late_and_grows_strong_slowly():
    step = step_of(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), holes=HOLE)
    config = replace(CONFIG, start=0.5, ramp=0.2)
    early, half, full = (
        Adversarial(config, CPU, seed=0)(replace(step, progress=share, generator=torch.Generator().manual_seed(1)))
        for share in (0.5, 0.6, 0.7)
    )
    assert early["adversarial"] == early["matching"] == 0
    torch.testing.assert_close(full["adversarial"], 2 * half["adversarial"])


def test_a_discriminator_continues_where_it_was():
    def train(objective, numbers):
        for number in numbers:
            color = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(number))
            terms = objective(step_of(color, checkers(), holes=HOLE, seed=number))
        return float(terms["adversarial"])

    straight = train(Adversarial(CONFIG, CPU, seed=0), range(6))
    first, second = Adversarial(CONFIG, CPU, seed=0), Adversarial(CONFIG, CPU, seed=1)
    train(first, range(3))
    second.restore(first.state())
    assert train(second, range(3, 6)) == straight


def test_patches_hold_as_much_hole_as_there_is():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        view, box = place_patch(HOLE, 16, 0.3, generator)
        assert box.crop(HOLE[view]).mean() >= 0.3
    dot = torch.zeros(2, 1, 12, 40)
    dot[1, 0, 3, 39] = 1
    assert place_patch(dot, 16, 0.3, generator) == (1, Box(left=24, top=0, right=40, bottom=12))


@pytest.mark.parametrize("seed", range(4))
def test_both_sides_are_changed_alike_and_black_stays_black(seed):
    inside = torch.zeros(1, 16, 16)
    inside[:, 4:12, 4:12] = 1
    one, other = torch.full((2, 3, 16, 16), -1.0).unbind()
    one[:, 4:12, 4:12] = torch.rand(3, 8, 8) - 0.5
    other[:, 4:12, 4:12] = -1.0  # a rendering that is black itself is no background
    changed = augmented(torch.stack([one, other]), inside, torch.Generator().manual_seed(seed))
    alone = torch.cat([augmented(each[None], inside, torch.Generator().manual_seed(seed)) for each in (one, other)])
    assert torch.equal(changed, alone)
    assert (changed[0] == -1).sum() >= 3 * 16 * 16 - 3 * 8 * 8
    assert not torch.equal(changed[0], one)
    assert (changed[1] != -1).sum() > 0
