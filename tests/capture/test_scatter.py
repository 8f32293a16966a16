import numpy as np
import torch

from splatpaint.capture.posed import Photo
from splatpaint.capture.scatter import COUNT, scatter
from splatpaint.scene.camera import look_at
from tests.support.captures import PINHOLE, shoot


def photos_at(eyes: np.ndarray, target: np.ndarray) -> tuple[Photo, ...]:
    up = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    poses = look_at(torch.from_numpy(eyes), torch.from_numpy(target).expand(len(eyes), 3), up).numpy()
    template = shoot(views=1).photos[0]
    return tuple(Photo(f"{number}", template.path, PINHOLE, pose) for number, pose in enumerate(poses))


def test_the_ball_lies_where_the_cameras_look():
    angle = np.linspace(0, 5, 8)
    target = np.array([3.0, 1.0, -2.0])
    eyes = target + 4 * np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
    points = scatter(photos_at(eyes, target))
    assert len(points) == COUNT
    np.testing.assert_allclose(points.positions.mean(axis=0), target, atol=0.1)
    distance = np.linalg.norm(points.positions - target, axis=1)
    assert distance.max() < 2.1
    assert np.median(distance) > 1.4


def test_cameras_that_look_the_same_way_have_it_in_front():
    eyes = np.stack([np.linspace(-1, 1, 5), np.zeros(5), np.zeros(5)], axis=1)
    photos = tuple(photos_at(eye[None], eye + np.array([0, 0, 10.0]))[0] for eye in eyes)
    points = scatter(photos)
    assert np.isfinite(points.positions).all()
    assert points.positions[:, 2].min() > 0


def test_cameras_that_look_away_from_each_other_have_it_in_front_of_them():
    angle = np.linspace(0, 0.5, 5)
    eyes = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    photos = tuple(photos_at(eye[None], 3 * eye)[0] for eye in eyes)
    assert scatter(photos).positions[:, 2].mean() > 1


def test_the_same_seed_gives_the_same_points():
    photos = shoot().photos
    np.testing.assert_array_equal(scatter(photos).positions, scatter(photos).positions)
    assert (scatter(photos, seed=1).positions != scatter(photos).positions).any()
