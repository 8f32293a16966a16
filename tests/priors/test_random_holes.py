import numpy as np
import torch

from splatpaint.priors.random_holes import LARGEST_SHARE, SMALLEST_SHARE, random_holes


def draw(seed: int, count: int = 64) -> torch.Tensor:
    return random_holes(count, 64, 96, np.random.default_rng(seed))


def test_holes_are_zero_or_one_and_leave_enough_known():
    holes = draw(0)
    assert holes.shape == (64, 1, 64, 96)
    assert set(holes.unique().tolist()) == {0.0, 1.0}
    shares = holes.mean(dim=(1, 2, 3))
    assert shares.min() >= SMALLEST_SHARE
    assert shares.max() <= LARGEST_SHARE


def test_some_holes_reach_the_border_and_some_do_not():
    holes = draw(1)
    border = holes.clone()
    border[:, :, 1:-1, 1:-1] = 0
    touching = border.amax(dim=(1, 2, 3)).mean().item()
    assert 0.2 < touching < 0.9


def test_the_same_stream_draws_the_same_holes():
    assert torch.equal(draw(2), draw(2))
    assert not torch.equal(draw(2), draw(3))
