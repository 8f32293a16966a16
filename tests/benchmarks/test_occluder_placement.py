import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.occluder_placement import _beside_object, _good_views, _plane, _up, disagreements, find_placement, upright
from benchmarks.occluder_rendering import draw
from benchmarks.occluder_task import make_occluder_task
from benchmarks.synthetic_occluders import SHAPES, Ball, Placement, Shape, occluder_at
from benchmarks.synthetic_room import make_room
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image, write_mask
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.views import Capture, PointCloud, View

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    folder = tmp_path_factory.mktemp("room")
    make_room(folder, views=8, size=(120, 90))
    return drain(prepare(folder, CaptureConfig(), cache=folder / "cache"))


def camera(distance: float, pixels: int = 64) -> Cameras:
    K = torch.tensor([[[pixels, 0, pixels / 2], [0, pixels, pixels / 2], [0, 0, 1.0]]])
    eye = torch.tensor([[0.0, -distance, 0.0]])
    return Cameras(K, look_at(eye, torch.zeros(1, 3), UP), width=pixels, height=pixels)


def ball_at(x: float, y: float, z: float, radius: float) -> Ball:
    placement = Placement(torch.zeros(3), UP, radius)
    return Ball(Placement(torch.tensor([x, y, z]) - placement.center, UP, radius))


def test_a_centered_ball_covers_the_disc_of_its_silhouette():
    _, coverage = draw(ball_at(0, 0, 0, 0.5), camera(2.0))
    radius_px = 64 * 0.5 / math.sqrt(2.0**2 - 0.5**2)
    assert coverage.sum().item() == pytest.approx(math.pi * radius_px**2, rel=0.01)
    assert set(coverage.unique().tolist()) <= {k / 16 for k in range(17)}


def test_a_ball_behind_the_camera_is_not_drawn():
    assert not draw(ball_at(0, -5, 0, 0.5), camera(2.0))[1].any()


def test_a_ball_half_outside_the_picture_is_cut_at_its_border():
    inside = draw(ball_at(-1, 0, 0, 0.2), camera(2.0))[1]
    assert 0 < inside.sum() < 0.6 * draw(ball_at(0, 0, 0, 0.2), camera(2.0))[1].sum()
    assert inside[..., 0].any()


def test_a_plane_is_found_among_stray_points():
    points = torch.rand(200, 3) * torch.tensor([1.0, 1.0, 0.005])
    points[:50, 2] += torch.rand(50)
    _, normal = _plane(points)
    assert abs(normal[2].item()) > 0.999


def test_a_place_is_on_level_ground_clear_of_things(room: Capture):
    placement = find_placement(room)
    assert room.points is not None
    assert placement.up @ UP > 0.95
    inside = (room.points.positions - placement.center).norm(dim=1) < 0.9 * placement.radius
    assert not inside.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_masked_pixels_change(room: Capture, tmp_path: Path, shape: Shape):
    make_occluder_task(room, tmp_path, shape=shape)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert len(names) >= 6
    for name in names:
        image, truth = (read_image(tmp_path / kind / name) for kind in ("images", "truth"))
        mask = read_mask(tmp_path / "masks" / name)[0] > 0.5
        assert torch.equal(image[:, ~mask], truth[:, ~mask])
        assert not torch.equal(image, truth)


def test_a_shadow_darkens_the_photos_around_the_foot_and_nothing_farther_away(room: Capture, tmp_path: Path):
    placement = make_occluder_task(room, tmp_path, shadow=True).placement
    cameras = {view.name: view.camera for view in room.all_views}
    for file in (tmp_path / "images").iterdir():
        image, truth = (read_image(tmp_path / kind / file.name) for kind in ("images", "truth"))
        outside = read_mask(tmp_path / "masks" / file.name)[0] == 0
        darker = (truth - image).amax(dim=0) * outside
        assert darker.max() > 0.05
        assert ((image - truth).amax(dim=0) * outside).max() <= 0
        (x, y), _ = (part[0, 0] for part in cameras[file.stem].project(placement.foot[None]))
        rows, columns = torch.nonzero(darker > 0.5 * darker.max(), as_tuple=True)
        assert torch.hypot(columns - x, rows - y).median() < 0.15 * image.shape[2]


def test_no_point_of_the_covered_capture_lies_behind_the_ball_in_every_view(room: Capture, tmp_path: Path):
    ball = make_occluder_task(room, tmp_path / "cover").placement
    covered = drain(prepare(tmp_path / "cover", CaptureConfig(), cache=tmp_path / "cache"))
    assert covered.points is not None
    world = covered.world_from_input
    center, radius = world.apply(ball.center[None])[0], ball.radius * world.scale
    distance = (covered.points.positions - center).norm(dim=1)
    assert (distance > 0.99 * radius).all()
    assert ((distance - radius).abs() < 1e-3 * radius).sum() > 100


def test_a_badly_solved_view_is_left_out(room: Capture):
    crooked = room.views[3]
    turned = crooked.camera.cam_from_world.clone()
    turned[0, :2] *= -1
    views = (*room.views[:3], replace(crooked, camera=replace(crooked.camera, cam_from_world=turned)), *room.views[4:])
    assert [view.name for view in upright(replace(room, views=views)).views] == [v.name for v in room.views if v is not crooked]


def in_portrait(view: View, folder: Path) -> View:
    """The middle of a view's photo, cut to portrait."""
    width, height = view.camera.width * 5 // 8, view.camera.height
    left = (view.camera.width - width) // 2
    camera = replace(view.camera.cropped(left, 0, width, height), full_side_px=None)
    write_image(folder / f"{view.name}.png", read_image(view.image)[:, :, left : left + width])
    return replace(view, camera=camera, fill_mask=None, image=folder / f"{view.name}.png")


def test_photos_of_both_formats_get_the_occluder(room: Capture, tmp_path: Path):
    views = tuple(in_portrait(view, tmp_path) if i % 2 else view for i, view in enumerate(room.views))
    make_occluder_task(replace(room, views=views), tmp_path / "task")
    masks = [read_mask(path) for path in sorted((tmp_path / "task" / "masks").iterdir())]
    assert {mask.shape[2] > mask.shape[1] for mask in masks} == {True, False}
    assert all(mask.any() for mask in masks)


def test_no_place_is_at_the_object_of_the_masks(room: Capture, tmp_path: Path):
    free = find_placement(room)
    masked = []
    for view in room.views:
        _, coverage = draw(occluder_at(replace(free, radius=2 * free.radius), "ball"), view.camera)
        write_mask(tmp_path / f"{view.name}.png", (coverage > 0).float())
        masked.append(replace(view, fill_mask=tmp_path / f"{view.name}.png"))
    other = find_placement(replace(room, views=tuple(masked)))
    assert (other.foot - free.foot).norm() > free.radius


def test_cameras_that_look_down_from_all_sides_agree_on_up():
    angles = torch.linspace(0, 2 * math.pi, 9)[:-1]
    eyes = torch.stack([angles.cos(), angles.sin(), torch.full_like(angles, 3.0)], dim=1)
    K = torch.tensor([[64.0, 0, 32], [0, 64, 32], [0, 0, 1]]).expand(8, 3, 3)
    assert _up(Cameras(K, look_at(eyes, torch.zeros(8, 3), UP), width=64, height=64)) @ UP > 0.999


def test_a_view_with_something_before_the_place_disagrees(room: Capture, tmp_path: Path):
    placement = find_placement(room)
    views = _good_views(placement, room.views)
    green = read_image(views[0].image)
    green[:] = torch.tensor([0.1, 0.9, 0.1])[:, None, None]
    write_image(tmp_path / "hidden.png", green)
    off = disagreements(placement, [replace(views[0], image=tmp_path / "hidden.png"), *views[1:]])
    assert off[0] > 1
    assert off[1:].median() < 1


def test_a_white_table_without_points_gets_places_around_the_object_that_stands_on_it(room: Capture):
    box = occluder_at(find_placement(room), "box")
    on_it, _, colors = box.surface(300)
    masks = {view.name: (draw(box, view.camera)[1] > 0).float() for view in room.views}
    placements = _beside_object(PointCloud(on_it, colors.byte()), room.views, masks, UP)
    assert placements
    lowest = on_it[:, 2].min()
    for placement in placements:
        assert abs(placement.foot[2] - lowest) < 0.1 * placement.radius
        assert (on_it - placement.center).norm(dim=1).min() > placement.radius


@pytest.mark.parametrize("shape", SHAPES)
def test_a_thing_is_where_its_surface_points_are(shape: Shape):
    occluder = occluder_at(Placement(torch.tensor([0.1, 0.0, -0.2]), UP, 0.5), shape)
    points, normals, colors = occluder.surface(200)
    assert len(points) == 200
    assert ((colors >= 0) & (colors <= 1)).all()
    assert ((points - occluder.placement.center).norm(dim=1) < 1.6 * 0.5).all()
    eye = torch.tensor([0.3, -2.0, 1.5])
    facing = ((eye - points) * normals).sum(dim=1) > 0.2
    toward = torch.nn.functional.normalize(points[facing] - eye, dim=1)
    hit, found = occluder.intersect(eye, toward)
    assert hit.float().mean() > 0.97, "rays to points that face the eye hit"
    assert (found[hit] - colors[facing][hit]).abs().mean() < 0.05
    assert not occluder.intersect(eye, -toward)[0].any()


def test_flat_things_lie_in_the_plane_and_cover_part_of_it():
    placement = Placement(torch.zeros(3), UP, 0.5)
    eye = torch.tensor([0.0, 0.0, 4.0])
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-0.6, 0.6, 61)] * 2, indexing="ij"), dim=-1)
    rays = torch.nn.functional.normalize(torch.cat([grid, torch.zeros(61, 61, 1)], dim=-1) - eye, dim=-1)
    disc, scribble = (occluder_at(placement, shape).intersect(eye, rays)[0].float().mean() for shape in ("disc", "scribble"))
    assert disc.item() == pytest.approx(math.pi * 0.25 / 1.44, rel=0.05)
    assert 0.3 * disc < scribble < 0.8 * disc
