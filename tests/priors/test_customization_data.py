import numpy as np
import pytest
import torch

from splatpaint.priors.canvas import split_panels
from splatpaint.priors.customization_data import MaskedPhoto, draw_batch


def photos(object_color: float, count: int = 4) -> list[MaskedPhoto]:
    generator = torch.Generator().manual_seed(0)
    known = torch.ones(1, 1, 48, 64)
    known[..., 14:34, 20:50] = 0
    images = (torch.rand(1, 3, 48, 64, generator=generator) * 0.5 for _ in range(count))
    return [MaskedPhoto(torch.where(known > 0, image, object_color), known, 1 - known) for image in images]


@pytest.mark.parametrize("pair_share", [0.0, 1.0])
def test_the_object_is_in_no_batch(pair_share: float):
    one, other = (draw_batch(photos(color), 6, 32, np.random.default_rng(1), pair_share=pair_share) for color in (0.9, 0.1))
    assert torch.equal(one.images, other.images)
    assert one.images.max() <= 0.5
    target = split_panels(one.holes, one.layout)[-1][split_panels(one.supervised, one.layout)[-1] == 0]
    assert len(target) > 0
    assert (target == 1).all()


def test_pixels_that_are_not_supervised_are_hole():
    batch = draw_batch(photos(0.9), 6, 32, np.random.default_rng(2))
    assert (batch.supervised == 0).any()
    assert (batch.holes[batch.supervised == 0] == 1).all()
    assert batch.images.shape == (6, 3, 32, 32)


def test_the_reference_of_a_pair_is_not_supervised_and_only_its_object_is_hole():
    batch = draw_batch(photos(0.9), 6, 32, np.random.default_rng(3), pair_share=1.0, all_hole_share=1.0)
    assert batch.layout == "pair"
    assert batch.images.shape == (6, 3, 32, 64)
    reference, target = split_panels(batch.holes, "pair")
    assert 0 < reference.mean() < 0.6
    assert (target == 1).all()
    assert not split_panels(batch.supervised, "pair")[0].any()


def test_object_masks_are_moved_to_known_places():
    batch = draw_batch(photos(0.9), 16, 32, np.random.default_rng(4), object_mask_share=1.0, all_hole_share=0.0)
    moved = batch.holes * batch.supervised
    assert (moved.sum(dim=(1, 2, 3)) > 0).sum() >= 12
    assert 0.02 < moved.mean() < 0.5


def test_a_scene_without_an_object_is_learned_from_too():
    ones, zeros = torch.ones(1, 1, 48, 64), torch.zeros(1, 1, 48, 64)
    known = [MaskedPhoto(photo.image, ones, zeros) for photo in photos(0.3)]
    batch = draw_batch(known, 6, 32, np.random.default_rng(5))
    assert (split_panels(batch.supervised, batch.layout)[-1] == 1).all()
    assert batch.holes.any()


def test_ignored_pixels_are_no_object_outline():
    border = torch.ones(1, 1, 48, 64)
    border[..., :3] = 0
    known = [MaskedPhoto(photo.image, border, torch.zeros_like(border)) for photo in photos(0.3)]
    for share in (1.0, 0.0):
        batch = draw_batch(known, 6, 32, np.random.default_rng(6), object_mask_share=share, all_hole_share=0.0)
        assert (batch.holes * batch.supervised).mean() < 0.7, "no hole has the shape of the frame"
