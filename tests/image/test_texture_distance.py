import torch

from splatpaint.image.texture_distance import COLOR_WEIGHT, texture_distance


def stripes(phase: int = 0) -> torch.Tensor:
    column = ((torch.arange(48) + phase) // 2 % 2).float()
    return (0.3 + 0.4 * column).expand(1, 3, 40, 48)


def test_the_distance_of_equal_pictures_is_zero():
    assert texture_distance(stripes(), stripes()).abs().max() == 0


def test_a_shift_in_brightness_is_a_color_difference_alone():
    distance = texture_distance(stripes(), stripes() + 0.1)
    assert torch.allclose(distance, torch.full_like(distance, 0.1 * COLOR_WEIGHT), atol=1e-6)


def test_displaced_texture_is_nearer_than_a_blur_although_its_squared_error_is_larger():
    truth, displaced, blur = stripes(), stripes(1), torch.full((1, 3, 40, 48), 0.5)
    inner = (..., slice(5, -5), slice(5, -5))
    assert (displaced - truth)[inner].square().mean() > (blur - truth)[inner].square().mean()
    assert texture_distance(displaced, truth)[inner].mean() < texture_distance(blur, truth)[inner].mean()
