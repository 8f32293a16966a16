import numpy as np
import pytest

from splatpaint.capture.lens import Lens
from splatpaint.capture.triangulate import NEIGHBORS, PinholeImage, neighboring_pairs, triangulate
from splatpaint.events import Progressed, drain
from splatpaint.image.files import write_image
from tests.support.captures import HALF, shoot

LENS = Lens("PINHOLE", 320, 240, 250.0, 250.0, 160.0, 120.0)


def pictures_of(folder, shots) -> list[PinholeImage]:
    for name, image in zip(shots.names, shots.images, strict=True):
        write_image(folder / f"{name}.png", image)
    return [
        PinholeImage(f"{name}.png", LENS.width, LENS.height, LENS.K, pose)
        for name, pose in zip(shots.names, shots.cam_from_world, strict=True)
    ]


@pytest.mark.slow
def test_points_lie_on_the_walls_in_the_frame_of_the_poses(tmp_path):
    pictures = pictures_of(tmp_path / "pictures", shoot(LENS))
    workspace = tmp_path / "work"
    workspace.mkdir()
    events = list(collect := Collected(triangulate(tmp_path / "pictures", pictures, workspace=workspace)))
    points = collect.product
    assert len(points) > 100
    off_the_walls = np.abs(HALF - np.abs(points.positions)).min(axis=1)
    # a third of a pixel at a distance of 4, a focal length of 250 and a baseline of .6 is .035 along the view
    assert np.median(off_the_walls) < 0.035
    assert (off_the_walls < 0.2).mean() > 0.95
    assert all(isinstance(event, Progressed) for event in events)
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done == events[-1].total


class Collected:
    """Iterates over events and keeps what they return."""

    def __init__(self, events):
        self.events, self.product = events, None

    def __iter__(self):
        self.product = yield from self.events


def test_pictures_without_texture_have_no_points(tmp_path):
    shots = shoot(LENS, views=3)
    pictures = pictures_of(tmp_path / "pictures", shots)
    for picture in pictures:
        write_image(tmp_path / "pictures" / picture.file, shots.images[0] * 0 + 0.5)
    workspace = tmp_path / "work"
    workspace.mkdir()
    assert drain(triangulate(tmp_path / "pictures", pictures, workspace=workspace)) is None


def test_every_view_is_paired_with_its_neighbors():
    poses = np.tile(np.eye(4), (30, 1, 1))
    poses[:, 0, 3] = -np.arange(30)
    pairs = neighboring_pairs(poses)
    assert {(i, i + 1) for i in range(29)} <= set(pairs)
    assert max(j - i for i, j in pairs) <= NEIGHBORS
    assert all(i < j for i, j in pairs)


def test_views_that_look_elsewhere_are_no_neighbors():
    poses = np.tile(np.eye(4), (2 * NEIGHBORS + 2, 1, 1))
    poses[::2, :3, :3] = np.diag([-1, 1, -1])
    assert all(i % 2 == j % 2 for i, j in neighboring_pairs(poses))


def test_few_views_are_all_paired():
    assert neighboring_pairs(shoot(views=3).cam_from_world) == [(0, 1), (0, 2), (1, 2)]
