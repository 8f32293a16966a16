import torch

from splatpaint.masks.floaters import FloatersConfig, alone, hidden


def test_a_splat_that_only_the_removal_shows_was_hidden():
    before = torch.tensor([0.0, 5.0, 1.0, 0.0])
    after = torch.tensor([4.0, 5.0, 4.0, 0.0])
    assert hidden(before, after, FloatersConfig(min_supervised=0.3)).tolist() == [True, False, True, False]


def test_a_splat_far_from_all_others_is_alone_at_any_scale():
    grid = torch.stack(torch.meshgrid(*[torch.arange(5.0)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)
    cloud = torch.cat([grid, torch.tensor([[30.0, 30.0, 30.0]])])
    for scale in (1e-3, 1.0, 1e3):
        outlier = alone(cloud * scale, FloatersConfig())
        assert outlier[-1]
        assert outlier.sum() == 1


def test_a_handful_of_splats_has_no_outliers():
    assert not alone(torch.randn(5, 3), FloatersConfig()).any()
