from dataclasses import replace

import torch

from splatpaint.masks.holes import HolesConfig, RemovalView, find_holes, sees, without_specks
from splatpaint.scene.camera import Cameras

SIZE = 40
PLANE_Z = 4.0
CONFIG = HolesConfig(grow=0.01, close=0.0, min_area_px=1)


def camera_at(x: float) -> Cameras:
    K = torch.tensor([[[40.0, 0.0, SIZE / 2], [0.0, 40.0, SIZE / 2], [0.0, 0.0, 1.0]]])
    pose = torch.eye(4)[None].clone()
    pose[0, 0, 3] = -x
    return Cameras(K=K, cam_from_world=pose, width=SIZE, height=SIZE)


def view_of_wall(x: float, object_left: int | None, object_right: int = 0, object_z: float = 2.0) -> RemovalView:
    """A wall at PLANE_Z, seen from (x, 0, 0); the object covers some columns."""
    wall = torch.full((1, 1, SIZE, SIZE), PLANE_Z)
    covered = torch.zeros_like(wall)
    full = wall.clone()
    if object_left is not None:
        covered[..., object_left:object_right] = 1
        full[..., object_left:object_right] = object_z
    solid = torch.ones_like(wall)
    known = torch.zeros_like(wall).bool()
    return RemovalView(camera_at(x), covered.bool(), covered.bool(), solid.bool(), full, wall, solid, known)


def test_what_another_view_saw_past_the_object_is_no_hole():
    covered, free = view_of_wall(0.0, 15, 25), view_of_wall(0.5, None)
    hole, nothing = find_holes([covered, free], CONFIG)
    assert hole.sum() == 0
    assert nothing.sum() == 0


def test_what_every_view_has_the_object_in_front_of_is_a_hole():
    # A shift of .5 moves the wall by 5 px; columns 20 to 25 of the first view are hidden in both.
    first, second = view_of_wall(0.0, 15, 25), view_of_wall(0.5, 15, 25)
    hole = find_holes([first, second], CONFIG)[0]
    assert hole[0, 0, 20].nonzero().flatten().tolist() == [20, 21, 22, 23, 24]


def test_a_surface_that_was_occluded_elsewhere_is_not_seen_there():
    occluded = view_of_wall(0.0, None)
    occluded.full_depth[:] = 2.0
    points = torch.tensor([[0.0, 0.0, PLANE_Z]])
    assert not sees(occluded, points)
    assert sees(view_of_wall(0.0, None), points)


def test_what_is_on_the_border_of_the_picture_or_not_shown_there_is_not_seen():
    far = replace(view_of_wall(0.0, None), full_depth=torch.full((1, 1, SIZE, SIZE), 20.0))
    assert sees(far, torch.tensor([[0.0, 0.0, 20.0]]))
    assert not sees(far, torch.tensor([[10.0, 0.0, 20.0]])), "right on the border"
    blind = replace(far, usable=torch.zeros_like(far.usable))
    assert not sees(blind, torch.tensor([[0.0, 0.0, 20.0]]))


def test_depths_of_far_surfaces_may_differ_more():
    far = view_of_wall(0.0, None)
    points = torch.tensor([[0.0, 0.0, 1.1 * PLANE_Z]])
    assert sees(far, points)
    near = view_of_wall(0.0, None)
    near.full_depth[:] = 0.5
    assert not sees(near, torch.tensor([[0.0, 0.0, 0.55]]))


def test_points_outside_the_frame_or_behind_the_camera_are_not_seen():
    points = torch.tensor([[9.0, 0.0, PLANE_Z], [0.0, 0.0, -PLANE_Z]])
    assert sees(view_of_wall(0.0, None), points).tolist() == [False, False]


def test_without_a_surface_behind_it_all_that_the_object_covered_is_hole():
    view = view_of_wall(0.0, 15, 25)
    empty = replace(view, kept_depth=view.kept_depth * 0, kept_alpha=view.kept_alpha * 0)
    assert torch.equal(find_holes([empty, view_of_wall(0.5, None)], CONFIG)[0], view.occluded.float())


def test_what_was_exposed_beside_the_object_is_no_hole_for_the_photo_shows_it():
    view = view_of_wall(0.0, 15, 25)
    view.exposed[..., 8:25] = True
    hole = find_holes([view, view_of_wall(0.1, 10, 30)], CONFIG)[0]
    assert torch.equal(hole, view.occluded.float())


def test_ignored_pixels_witness_nothing():
    covered, blind = view_of_wall(0.0, 15, 25), view_of_wall(0.5, None)
    blind.usable[:] = False
    assert torch.equal(find_holes([covered, blind], CONFIG)[0], covered.occluded.float())


def test_a_narrow_island_of_chance_sightings_is_painted_with_the_hole_around_it():
    view = view_of_wall(0.0, 10, 30)
    view.kept_alpha[..., 10:18] = 0
    view.kept_alpha[..., 22:30] = 0
    witness = view_of_wall(0.5, None)
    narrow = replace(CONFIG, close=3 / SIZE)
    assert find_holes([view, witness], CONFIG)[0].sum() < view.occluded.sum()
    assert torch.equal(find_holes([view, witness], narrow)[0], view.occluded.float())


def test_specks_go_and_areas_stay():
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 1, 1] = 1
    mask[..., 5:9, 5:9] = 1
    cleaned = without_specks(mask, 5)
    assert cleaned.sum() == 16
    assert cleaned[0, 0, 1, 1] == 0


def test_what_photos_know_too_little_of_is_a_hole_though_its_surface_was_seen():
    covered, free = view_of_wall(0.0, 15, 25), view_of_wall(0.5, None)
    covered.unsupported[..., 10:30, 20:40] = True
    hole, nothing = find_holes([covered, free], replace(CONFIG, grow=0.0))
    assert torch.equal(hole > 0, covered.unsupported & covered.occluded)
    assert nothing.sum() == 0


def magnified(view: RemovalView, times: int) -> RemovalView:
    maps = {name: value for name, value in vars(view).items() if isinstance(value, torch.Tensor)}
    maps = {name: value.repeat_interleave(times, 2).repeat_interleave(times, 3) for name, value in maps.items()}
    return replace(view, camera=view.camera.resized(times * SIZE, times * SIZE), **maps)


def test_a_scene_that_never_saw_the_object_has_smaller_holes():
    """Its kept splats carry none of the object's colors, so holes need no margin."""
    scene = [magnified(view_of_wall(0.0, 12, 28), 5), magnified(view_of_wall(0.5, 12, 28), 5)]
    apart, together = (find_holes(scene, HolesConfig(), apart=apart) for apart in (True, False))
    assert 0 < sum(float(hole.sum()) for hole in apart) < sum(float(hole.sum()) for hole in together)
    as_asked = HolesConfig(grow=0.05, close=0.03)
    for first, second in zip(find_holes(scene, as_asked, apart=True), find_holes(scene, as_asked), strict=True):
        assert torch.equal(first, second)
