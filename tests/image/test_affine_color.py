import torch

from splatpaint.image.affine_color import gain_and_offset

GAIN, OFFSET = torch.tensor([0.5, 1.0, 1.5]), torch.tensor([0.2, 0.0, -0.1])


def pictures():
    x = torch.rand(1, 3, 8, 9)
    return x, x * GAIN[:, None, None] + OFFSET[:, None, None], torch.ones(1, 1, 8, 9)


def test_an_affine_change_is_found_exactly():
    gain, offset = gain_and_offset(*pictures())
    torch.testing.assert_close(gain, GAIN)
    torch.testing.assert_close(offset, OFFSET, atol=1e-5, rtol=0)


def test_a_stronger_offset_prior_gives_a_smaller_offset():
    given = pictures()
    offsets = [gain_and_offset(*given, about_black=share)[1].abs() for share in (0.0, 0.3, 1e4)]
    changed = OFFSET != 0
    assert (offsets[0] > offsets[1])[changed].all()
    assert (offsets[1] > offsets[2])[changed].all()
    torch.testing.assert_close(offsets[2], torch.zeros(3), atol=1e-3, rtol=0)


def test_pixels_of_weight_zero_are_ignored_per_channel():
    x, y, _ = pictures()
    weight = torch.ones_like(x)
    weight[:, 1] = 0
    y[:, 1] = 0.3
    weight[:, 0, :4] = 0
    y[:, 0, :4] = 0.9
    gain, offset = gain_and_offset(x, y, weight)
    torch.testing.assert_close(gain, torch.tensor([0.5, 1.0, 1.5]))
    torch.testing.assert_close(offset, torch.tensor([0.2, 0.0, -0.1]), atol=1e-5, rtol=0)
