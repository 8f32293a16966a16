from dataclasses import replace

import torch

from splatpaint.fit.exposures import CLIPPED, Exposures, exposures_of, fitted
from splatpaint.render.reference import rasterize
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.photos import Photo
from tests.support.scenes import cloud, orbit

CAMERAS = orbit(4, width=16, height=12, focal=14.0)
SCENE = cloud(200, seed=3)
ONES = torch.ones(1, 1, 12, 16)
GAIN = torch.tensor([0.6, 0.8, 0.9])


def rendered():
    shown = rasterize(SCENE, CAMERAS[0])
    assert 0.3 < float((shown.alpha >= 0.5).float().mean()) < 1
    return shown


def test_a_gain_is_found_exactly():
    shown = rendered()
    gain, offset = fitted(shown, GAIN[:, None, None] * shown.color, ONES)
    torch.testing.assert_close(gain, GAIN)
    torch.testing.assert_close(offset, torch.zeros(3), atol=1e-5, rtol=0)


def test_pixels_that_say_nothing_do_not_count():
    shown = rendered()
    photo = (GAIN[:, None, None] * shown.color).clamp(0, CLIPPED)
    usable = ONES.clone()
    usable[..., :6, :] = 0
    spoiled = photo.clone()
    spoiled[..., :6, :] = 0.7  # not usable
    spoiled[(shown.alpha < 0.5).expand(-1, 3, -1, -1)] = 0.9  # nothing is there
    spoiled[..., -1, :4] = 1.0  # clipped
    told = (shown.alpha >= 0.5) * usable
    assert told[..., -1, :4].any(), "the clipped pixels would count otherwise"
    gain, _ = fitted(shown, spoiled, usable)
    torch.testing.assert_close(gain, GAIN)
    wrong, _ = fitted(shown, spoiled, ONES)
    assert (wrong - GAIN).abs().max() > 0.05


def test_a_photo_of_which_nothing_counts_has_no_exposure():
    gain, offset = fitted(rendered(), torch.rand(1, 3, 12, 16), 0 * ONES)
    assert torch.equal(gain, torch.ones(3))
    assert torch.equal(offset, torch.zeros(3))


def test_exposures_are_none_on_the_mean_and_follow_what_is_seen():
    exposures = Exposures(2, torch.device("cpu"))
    shown = rendered()
    for _ in range(20):
        exposures.observe(shown, 0, 0.5 * shown.color, ONES)
        exposures.observe(shown, 1, 0.8 * shown.color, ONES)
    one, other = (exposures.shown(shown.color, photo) for photo in (0, 1))
    torch.testing.assert_close(one / 0.5, other / 0.8, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(one * other, shown.color.square(), atol=1e-3, rtol=1e-3)


def test_every_photo_gets_the_exposure_with_which_it_shows_the_splats():
    gains = (0.5, 0.7, 0.9)
    photos = [
        Photo(str(gain), camera, gain * rasterize(SCENE, camera).color, ONES, 0 * ONES)
        for gain, camera in zip(gains, (CAMERAS[index] for index in range(3)), strict=True)
    ]
    found = exposures_of(SCENE, photos, rasterize)
    for gain in gains:
        exposure = found[str(gain)]
        torch.testing.assert_close(torch.tensor(exposure.gain), torch.full((3,), gain), atol=1e-4, rtol=0)
    dimmed = [replace(photo, image=Exposure((0.5,) * 3).apply(photo.image)) for photo in photos]
    darker = exposures_of(SCENE, dimmed, rasterize)
    assert all(darker[name].gain[0] < exposure.gain[0] for name, exposure in found.items())


def test_light_that_falls_off_in_a_photo_is_its_local_tone():
    camera = CAMERAS[0]
    shown = rasterize(SCENE, camera)
    falls_off = torch.linspace(1.0, 0.6, 16).expand(1, 3, 12, 16)
    image = falls_off * shown.color
    opaque = (shown.alpha >= 0.5).float()
    photo = Photo("dim to the right", camera, image, ONES, 0 * ONES)
    found = exposures_of(SCENE, [photo], rasterize)[photo.name]

    def error(exposure: Exposure) -> float:
        return float(((exposure.apply(shown.color) - image).square() * opaque).sum())

    assert error(found) < 0.3 * error(replace(found, local=()))
