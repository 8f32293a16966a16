from pathlib import Path

import pytest
import torch

from splatpaint.capture.split import split
from splatpaint.scene.camera import Cameras
from splatpaint.scene.views import View

CAMERA = Cameras(torch.eye(3)[None], torch.eye(4)[None], 4, 3)
VIEWS = [View(f"{number:02d}", CAMERA, Path("image.png")) for number in reversed(range(20))]


def test_the_first_and_every_eighth_after_it_are_held_out():
    supervising, held_out = split(VIEWS, test_every=8)
    assert [view.name for view in held_out] == ["00", "08", "16"]
    assert len(supervising) == 17


@pytest.mark.parametrize("test_every", [0, 2, 3, 8, 100])
def test_every_view_has_one_role(test_every):
    supervising, held_out = split(VIEWS, test_every=test_every)
    assert sorted(view.name for view in supervising + held_out) == [f"{number:02d}" for number in range(20)]


def test_zero_holds_out_none():
    assert split(VIEWS, test_every=0)[1] == ()
