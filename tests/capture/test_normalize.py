from dataclasses import replace

import numpy as np
import pytest
import torch

from splatpaint.capture.normalize import normalization, normalized_points, normalized_pose
from splatpaint.capture.posed import InputPoints
from tests.support.captures import shoot

SHOTS = shoot()
POINTS = InputPoints(SHOTS.points, SHOTS.colors)
PHOTOS = SHOTS.photos


def test_the_median_point_comes_to_the_origin_and_is_seen_from_about_one():
    similarity = normalization(PHOTOS, POINTS)
    world = normalized_points(SHOTS.points, similarity)
    np.testing.assert_allclose(np.median(world, axis=0), 0, atol=1e-12)
    poses = [normalized_pose(photo.cam_from_world, similarity) for photo in PHOTOS]
    depths = [np.median((world @ pose[:3, :3].T + pose[:3, 3])[:, 2]) for pose in poses]
    assert np.median(depths) == pytest.approx(1)


def test_projections_do_not_change():
    similarity = normalization(PHOTOS, POINTS)
    pose = normalized_pose(PHOTOS[0].cam_from_world, similarity)
    before = SHOTS.points @ PHOTOS[0].cam_from_world[:3, :3].T + PHOTOS[0].cam_from_world[:3, 3]
    after = normalized_points(SHOTS.points, similarity) @ pose[:3, :3].T + pose[:3, 3]
    np.testing.assert_allclose(after, similarity.scale * before, atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)


def test_a_scene_far_from_its_origin_keeps_its_precision():
    away = np.array([4e6, 5e6, 1e3])
    moved = []
    for photo in PHOTOS:
        pose = photo.cam_from_world.copy()
        pose[:3, 3] -= pose[:3, :3] @ away
        moved.append(replace(photo, cam_from_world=pose))
    similarity = normalization(tuple(moved), InputPoints(SHOTS.points + away, SHOTS.colors))
    here = normalized_pose(PHOTOS[0].cam_from_world, normalization(PHOTOS, POINTS))
    np.testing.assert_allclose(normalized_pose(moved[0].cam_from_world, similarity), here, atol=1e-7)


def test_undoing_the_similarity_gives_the_input_back():
    similarity = normalization(PHOTOS, POINTS)
    world = torch.from_numpy(normalized_points(SHOTS.points, similarity))
    torch.testing.assert_close(similarity.undo(world), torch.from_numpy(SHOTS.points), atol=1e-6, rtol=1e-6)
