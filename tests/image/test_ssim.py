import torch
from kornia.metrics import ssim as kornia_ssim

from splatpaint.image.ssim import ssim, ssim_map


def test_equal_pictures_have_similarity_one():
    x = torch.rand(2, 3, 20, 24)
    torch.testing.assert_close(ssim_map(x, x), torch.ones_like(x))


def test_map_agrees_with_kornia():
    x = torch.rand(2, 3, 40, 32, dtype=torch.float64)
    y = (x + 0.2 * torch.randn_like(x)).clamp(0, 1)
    torch.testing.assert_close(ssim_map(x, y), kornia_ssim(x, y, 11, eps=0.0))


def test_gradient_agrees_with_kornia():
    x, y = torch.rand(2, 1, 3, 30, 26, dtype=torch.float64)
    x.requires_grad_()
    (ours,) = torch.autograd.grad(ssim_map(x, y).mean(), x)
    (theirs,) = torch.autograd.grad(kornia_ssim(x, y, 11, eps=0.0).mean(), x)
    torch.testing.assert_close(ours, theirs)


def test_constant_pictures_differ_by_luminance_alone():
    x, y = (torch.full((1, 1, 12, 12), level, dtype=torch.float64) for level in (0.2, 0.8))
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    torch.testing.assert_close(ssim(x, y), torch.tensor([expected], dtype=torch.float64))


def test_a_region_far_from_the_change_does_not_notice_it():
    x = torch.rand(1, 3, 40, 40)
    y = x.clone()
    y[..., :10, :] = 0
    far, near = torch.zeros(1, 1, 40, 40), torch.zeros(1, 1, 40, 40)
    far[..., 16:, :] = 1
    near[..., :16, :] = 1
    torch.testing.assert_close(ssim(x, y, region=far), torch.ones(1))
    assert ssim(x, y, region=near) < 0.6
