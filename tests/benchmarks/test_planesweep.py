import torch

from benchmarks.planesweep import warp


def test_warping_by_the_pixel_centers_changes_nothing():
    x = torch.rand(1, 3, 6, 8)
    rows, columns = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    torch.testing.assert_close(warp(x, torch.stack([columns, rows], dim=-1)[None]), x)


def test_warping_by_whole_pixels_shifts_and_leaves_zeros():
    x = torch.rand(1, 3, 6, 8)
    rows, columns = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    shifted = warp(x, torch.stack([columns + 3, rows], dim=-1)[None])
    torch.testing.assert_close(shifted[..., :5], x[..., 3:])
    assert not shifted[..., 5:].any()
