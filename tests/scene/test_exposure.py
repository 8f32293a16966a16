from dataclasses import replace

import torch

from splatpaint.scene.exposure import Exposure, nearby_exposure
from tests.support.scenes import orbit

DARK = Exposure((0.5, 0.6, 0.7), (0.1, 0.0, -0.1))
BRIGHT = Exposure((1.5, 1.4, 1.3), (-0.1, 0.0, 0.1))


def test_what_an_exposure_does_it_undoes():
    scene = torch.rand(2, 3, 4, 5)
    assert (DARK.apply(scene) - scene).abs().max() > 0.1
    torch.testing.assert_close(DARK.undo(DARK.apply(scene)), scene)


def test_local_tone_comes_last_and_is_undone_first():
    scene = 0.2 + torch.rand(2, 3, 40, 60)
    corner = replace(DARK, local=tuple(((0.5, 1.0), (1.0, 1.0)) for _ in range(3)))
    shown = corner.apply(scene)
    torch.testing.assert_close(shown[..., :10, :15], 0.5 * DARK.apply(scene)[..., :10, :15])
    torch.testing.assert_close(shown[..., 30:, 45:], DARK.apply(scene)[..., 30:, 45:])
    torch.testing.assert_close(corner.undo(shown), scene, atol=1e-5, rtol=1e-5)


def test_without_one_a_photo_is_the_scene_bit_for_bit():
    scene = torch.rand(1, 3, 4, 5)
    assert torch.equal(Exposure().apply(scene), scene)
    assert torch.equal(Exposure().undo(scene), scene)


def test_a_view_is_expected_to_be_exposed_like_the_view_beside_it():
    around = orbit(12, width=8, height=8, focal=8.0)
    exposures = [DARK if place < 6 else BRIGHT for place in range(12)]
    for place, own in ((2, DARK), (9, BRIGHT)):
        others = [index for index in range(12) if index != place]
        expected = nearby_exposure(around[place], [around[i] for i in others], [exposures[i] for i in others])
        torch.testing.assert_close(torch.tensor(expected.gain), torch.tensor(own.gain))
        torch.testing.assert_close(torch.tensor(expected.offset), torch.tensor(own.offset))
    shifted = []
    for step in range(6):  # all look the same way
        pose = around[0].cam_from_world.clone()
        pose[:, 0, 3] += step
        shifted.append(replace(around[0], cam_from_world=pose))
    beside = nearby_exposure(shifted[0], shifted[1:], [DARK, DARK, DARK, BRIGHT, BRIGHT])
    torch.testing.assert_close(torch.tensor(beside.gain), torch.tensor(DARK.gain))
    between = nearby_exposure(around[6], [around[i] for i in (5, 7)], [DARK, BRIGHT])
    torch.testing.assert_close(torch.tensor(between.gain), torch.ones(3))
