from dataclasses import replace

import numpy as np
import pytest
import torch

from splatpaint.priors.canvas import split_panels
from splatpaint.priors.customization_data import KnownPicture, LessonConfig, draw_lesson

CONFIG = LessonConfig()


def pictures(object_color: float, count: int = 4) -> list[KnownPicture]:
    generator = torch.Generator().manual_seed(0)
    known = torch.ones(1, 1, 48, 64)
    known[..., 14:34, 20:50] = 0
    images = (torch.rand(1, 3, 48, 64, generator=generator) * 0.5 for _ in range(count))
    return [KnownPicture(torch.where(known > 0, image, object_color), known, 1 - known) for image in images]


@pytest.mark.parametrize("pair_share", [0.0, 1.0])
def test_the_object_is_nowhere_in_a_lesson(pair_share: float):
    config = replace(CONFIG, pair_share=pair_share)
    one, other = (draw_lesson(pictures(color), config, 6, 32, np.random.default_rng(1)) for color in (0.9, 0.1))
    assert torch.equal(one.images, other.images)
    assert one.images.max() <= 0.5
    target = split_panels(one.holes, one.layout)[-1][split_panels(one.taught, one.layout)[-1] == 0]
    assert len(target) > 0
    assert (target == 1).all()


def test_what_is_not_taught_is_hole():
    lesson = draw_lesson(pictures(0.9), replace(CONFIG, pair_share=0.0), 6, 32, np.random.default_rng(2))
    assert (lesson.taught == 0).any()
    assert (lesson.holes[lesson.taught == 0] == 1).all()
    assert lesson.images.shape == (6, 3, 32, 32)


def test_the_reference_of_a_pair_teaches_nothing_and_has_only_the_object_for_hole():
    lesson = draw_lesson(pictures(0.9), replace(CONFIG, pair_share=1.0, all_hole_share=1.0), 6, 32, np.random.default_rng(3))
    assert lesson.layout == "pair"
    assert lesson.images.shape == (6, 3, 32, 64)
    reference, target = split_panels(lesson.holes, "pair")
    assert 0 < reference.mean() < 0.6
    assert (target == 1).all()
    assert not split_panels(lesson.taught, "pair")[0].any()


def test_masks_of_the_scene_are_moved_to_known_places():
    config = LessonConfig(own_mask_share=1.0, all_hole_share=0.0, pair_share=0.0)
    lesson = draw_lesson(pictures(0.9), config, 16, 32, np.random.default_rng(4))
    moved = lesson.holes * lesson.taught
    assert (moved.sum(dim=(1, 2, 3)) > 0).sum() >= 12
    assert 0.02 < moved.mean() < 0.5


def test_a_scene_without_an_object_is_learned_from_too():
    ones, zeros = torch.ones(1, 1, 48, 64), torch.zeros(1, 1, 48, 64)
    known = [KnownPicture(picture.image, ones, zeros) for picture in pictures(0.3)]
    lesson = draw_lesson(known, CONFIG, 6, 32, np.random.default_rng(5))
    assert (split_panels(lesson.taught, lesson.layout)[-1] == 1).all()
    assert lesson.holes.any()


def test_what_is_merely_unusable_is_no_outline_of_the_scene():
    border = torch.ones(1, 1, 48, 64)
    border[..., :3] = 0
    shown = [KnownPicture(picture.image, border, torch.zeros_like(border)) for picture in pictures(0.3)]
    own, random = (
        draw_lesson(
            shown, LessonConfig(own_mask_share=share, all_hole_share=0.0, pair_share=0.0), 6, 32, np.random.default_rng(6)
        )
        for share in (1.0, 0.0)
    )
    for lesson in (own, random):
        assert (lesson.holes * lesson.taught).mean() < 0.7, "no hole has the shape of the frame"
