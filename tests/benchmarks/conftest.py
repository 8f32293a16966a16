"""A capture that benchmarks run on in seconds."""

from pathlib import Path

import pytest

from benchmarks.capture_writer import Frame, write_capture
from splatpaint.image.files import read_image, read_mask
from tests.support.walls import wall_with_ball


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A striped wall with a ball in front of it."""
    folder = tmp_path / "task"
    scene = wall_with_ball(tmp_path).capture
    frames = [Frame(v.name, v.camera, read_image(v.image), read_mask(v.fill_mask)) for v in scene.views if v.fill_mask]
    assert scene.points
    write_capture(folder, frames, scene.points)
    return folder
