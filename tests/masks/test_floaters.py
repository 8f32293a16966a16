import torch

from splatpaint.masks.floaters import isolated, was_hidden
from splatpaint.masks.lift import Votes


def votes(inside: list[float], votes_outside: list[float]) -> Votes:
    """Every vote outside is worth five pixels, outside the margin too."""
    weight, count = torch.tensor(inside), torch.tensor(votes_outside)
    return Votes(
        weight,
        outside=5 * count,
        votes_inside=weight.clamp(0, 1),
        votes_outside=count,
        outside_margin=5 * count,
        votes_outside_margin=count,
    )


def test_a_splat_that_only_the_removal_shows_was_hidden():
    before = votes(inside=[0.0, 0.0, 0.0], votes_outside=[0.0, 6.0, 0.0])
    after = votes(inside=[4.0, 4.0, 0.0], votes_outside=[0.0, 6.0, 0.0])
    assert was_hidden(before, after).tolist() == [True, False, False]


def test_a_splat_that_peeped_out_a_little_was_hidden_too():
    before = votes(inside=[0.0, 0.0], votes_outside=[2.0, 2.0])
    after = votes(inside=[400.0, 40.0], votes_outside=[2.0, 2.0])
    assert was_hidden(before, after).tolist() == [True, False]


def test_a_splat_far_from_all_others_is_isolated_at_any_scale():
    grid = torch.stack(torch.meshgrid(*[torch.arange(5.0)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)
    cloud = torch.cat([grid, torch.tensor([[30.0, 30.0, 30.0]])])
    for scale in (1e-3, 1.0, 1e3):
        outlier = isolated(cloud * scale)
        assert outlier[-1]
        assert outlier.sum() == 1


def test_a_handful_of_splats_has_no_outliers():
    assert not isolated(torch.randn(5, 3)).any()
