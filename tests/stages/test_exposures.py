from dataclasses import replace

import torch

from splatpaint.scene.exposure import Exposure
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import with_exposures
from splatpaint.stages.exposures import read_exposures, write_exposures
from tests.support.walls import wall_with_ball

CPU = torch.device("cpu")
DARK = Exposure((0.5, 0.6, 0.7), (0.1, 0.0, -0.1))


def test_what_is_kept_is_read(tmp_path):
    assert read_exposures(tmp_path) == {}
    toned = replace(DARK, local=tuple(((0.5, 1.0, 1.1),) * 2 for _ in range(3)))
    kept = {"left/0": DARK, "1": Exposure(), "2": toned}
    write_exposures(tmp_path, kept)
    assert read_exposures(tmp_path) == kept


def test_views_get_their_exposures_and_held_out_ones_those_beside_them(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    capture = replace(capture, views=capture.views[1:], held_out=capture.views[:1])
    assert with_exposures(capture, {}) is capture
    given = with_exposures(capture, {view.name: DARK for view in capture.views})
    assert all(view.exposure == DARK for view in given.views)
    (held_out,) = given.held_out
    torch.testing.assert_close(torch.tensor(held_out.exposure.gain), torch.tensor(DARK.gain))


def test_photos_are_leveled_and_can_be_had_as_they_were_taken(tmp_path):
    views = wall_with_ball(tmp_path).capture.views
    taken = Photos(views, CPU)[0].image
    photos = Photos([replace(view, exposure=DARK) for view in views], CPU)
    torch.testing.assert_close(photos[0].image, DARK.undo(taken).clamp(0, 1))
    assert torch.equal(photos.as_taken()[0].image, taken)
