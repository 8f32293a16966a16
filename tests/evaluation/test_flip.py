import torch

from splatpaint.evaluation.flip import Flip


def test_equal_pictures_do_not_flicker():
    picture = torch.rand(1, 3, 40, 50)
    assert Flip().map(picture, picture).abs().max() < 1e-6


def test_the_error_is_where_the_pictures_differ_and_grows_with_it():
    truth = torch.full((1, 3, 60, 60), 0.5)
    spots = [truth.clone(), truth.clone()]
    for spot, change in zip(spots, (0.1, 0.4), strict=True):
        spot[..., 10:20, 10:20] += change
    mild, strong = (Flip().map(spot, truth) for spot in spots)
    assert mild.shape == (1, 1, 60, 60)
    assert 0 < mild[..., 10:20, 10:20].mean() < strong[..., 10:20, 10:20].mean() <= 1
    assert strong[..., 45:, 45:].max() < 1e-3
