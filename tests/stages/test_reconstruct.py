from dataclasses import replace

import torch

from splatpaint.events import Measured, drain
from splatpaint.fit.photos import Photos
from splatpaint.image.files import read_image, write_image
from splatpaint.render.reference import rasterize
from splatpaint.stages.exposures import leveled
from splatpaint.stages.reconstruct import ReconstructConfig, Reconstruction, reconstruct, view_of_step
from tests.support.walls import wall_with_ball

CPU = torch.device("cpu")


def test_every_epoch_sees_every_view_once_in_an_order_of_its_own():
    epochs = [[view_of_step(epoch * 7 + place, 7, seed=3) for place in range(1, 8)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert [view_of_step(step, 7, seed=3) for step in range(1, 8)] == epochs[0]


def test_held_out_views_get_better_with_training(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    capture = replace(capture, views=capture.views[1:], held_out=capture.views[:1])

    def score(steps: int) -> float:
        events = reconstruct(capture, rasterize, ReconstructConfig(steps=steps, sh_degree=0), device=CPU, seed=0)
        (measured,) = [event for event in events if isinstance(event, Measured)]
        return measured.values["held_out_psnr"]

    before, after = score(1), score(60)
    assert after > before + 2
    assert after > 20


def test_photos_that_are_exposed_unlike_show_one_scene(tmp_path):
    wall = wall_with_ball(tmp_path)
    gains = (0.5, 0.7, 0.9, 0.6, 0.8)
    for view, gain in zip(wall.capture.views, gains, strict=True):
        write_image(view.image, gain * read_image(view.image))

    def fit(*, exposures: bool) -> Reconstruction:
        config = ReconstructConfig(steps=60, sh_degree=0, exposures=exposures)
        return drain(reconstruct(wall.capture, rasterize, config, device=CPU, seed=0))

    def error(found: Reconstruction) -> float:
        """Of what the photos are said to show."""
        photos = Photos(leveled(wall.capture, found.exposures).views, CPU)
        colors = (rasterize(found.splats, photo.camera).color for photo in photos)
        shown = (view.exposure.apply(color) for view, color in zip(photos.views, colors, strict=True))
        return sum(float((a - b.image).abs().mean()) for a, b in zip(shown, photos.as_taken(), strict=True))

    told, untold = fit(exposures=True), fit(exposures=False)
    assert untold.exposures == {}
    found = torch.tensor([told.exposures[view.name].gain for view in wall.capture.views])
    wanted = torch.tensor(gains)[:, None].expand(-1, 3)
    torch.testing.assert_close(found / found.mean(dim=0), wanted / wanted.mean(dim=0), atol=0.06, rtol=0)
    assert error(told) < 0.6 * error(untold)
