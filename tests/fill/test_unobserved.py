from dataclasses import replace

import torch

from splatpaint.fill.config import FillConfig
from splatpaint.fill.crops import choose_crops
from splatpaint.fill.seeding import SeedConfig, seed_fill
from splatpaint.fill.unobserved import UnobservedConfig, add_synthetic_views, halfway, outpainted, synthetic_view
from splatpaint.fill.views import observed_views
from splatpaint.image.files import write_image
from splatpaint.masks.removal import nothing_removed
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.paths import turned_about
from splatpaint.scene.photos import Photos
from tests.support.walls import SIZE, holed_wall, wall_with_ball

CPU = torch.device("cpu")
WIDTH, HEIGHT = SIZE


def test_a_widened_view_keeps_its_photo_and_has_holes_where_the_scene_ends(tmp_path):
    scene, removal = holed_wall(tmp_path)
    photos = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    view = photos[0]
    wide = outpainted(view, photos, removal.kept, rasterize, UnobservedConfig(margin=1.0))
    assert (wide.camera.width, wide.camera.height) == (3 * WIDTH, 3 * HEIGHT)
    middle = (..., slice(HEIGHT, 2 * HEIGHT), slice(WIDTH, 2 * WIDTH))
    for name in ("image", "observed", "unobserved", "support_removed"):
        assert torch.equal(getattr(wide, name)[middle], getattr(view, name)), name
    assert wide.observed.sum() == view.observed.sum()
    end = wide.camera.project(torch.tensor([[0.6, 0.0, 1.0], [-1.6, 0.0, 1.0]]))[0][0].floor().long().tolist()
    assert [float(wide.unobserved[0, 0, row, column]) for column, row in end] == [0.0, 1.0]


def test_what_the_splats_show_of_a_view_is_known_and_narrow_gaps_are_no_holes(tmp_path):
    scene, removal = holed_wall(tmp_path)
    camera = scene.capture.views[0].camera
    photos = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    everywhere = observed_views(Photos(scene.capture.views, CPU), nothing_removed(scene.wall, scene.capture), rasterize)
    whole = synthetic_view(camera, everywhere, scene.wall, rasterize)
    assert whole.unobserved[..., 4:-4, 4:-4].sum() == 0
    bare = synthetic_view(camera, photos, removal.kept, rasterize)
    middle = camera.project(torch.tensor([[0.0, 0.0, 1.0]]))[0][0, 0].long().tolist()
    assert bare.unobserved[0, 0, middle[1], middle[0]] == 1
    assert bare.observed.sum() == 0


def test_poses_halfway_bridge_the_widest_gaps_first():
    cam_from_world = torch.eye(4).repeat(4, 1, 1)
    cam_from_world[:, 0, 3] = -torch.tensor([0.0, 1.0, 3.0, 4.5])
    cameras = Cameras(torch.eye(3).repeat(4, 1, 1), cam_from_world, 8, 8)
    alone = [cameras[index] for index in range(4)]
    assert [float(camera.centers[0, 0]) for camera in halfway(alone, 10)] == [2.0, 3.75, 0.5]
    assert [float(camera.centers[0, 0]) for camera in halfway(alone, 1)] == [2.0]
    assert halfway(alone[:1], 3) == []
    assert halfway([cameras[0], cameras[0]], 3) == []


def test_views_between_that_show_hardly_anything_known_are_left_out(tmp_path):
    scene, removal = holed_wall(tmp_path)
    photos = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    away = [replace(photo, camera=turned_about(photo.camera, photo.camera.centers[0], 180.0, 0.0)) for photo in photos[:2]]
    assert len(add_synthetic_views(away, removal.kept, rasterize, UnobservedConfig(between=5), max_views=9).views) == 2


def test_what_a_photo_must_not_teach_is_painted_like_the_margin_around_it(tmp_path):
    scene = wall_with_ball(tmp_path)
    photos = observed_views(Photos(scene.capture.views, CPU), nothing_removed(scene.wall, scene.capture), rasterize)
    border = torch.ones_like(photos[0].observed)
    border[..., :4] = 0
    first = photos[0].with_maps(observed=border, image=photos[0].image * border)
    wide = outpainted(first, [first], scene.wall, rasterize, UnobservedConfig(margin=0.5))
    column = wide.camera.width // 4 + 1
    assert wide.unobserved[..., HEIGHT // 2 + 4 : -(HEIGHT // 2 + 4), column].min() == 1


def test_nothing_is_added_unless_it_is_asked_for(tmp_path):
    scene, removal = holed_wall(tmp_path)
    views = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    assert add_synthetic_views(views, removal.kept, rasterize, UnobservedConfig(), max_views=9).views == views
    assert (
        len(add_synthetic_views(views, removal.kept, rasterize, UnobservedConfig(between=2), max_views=9).views)
        == len(views) + 2
    )
    assert not UnobservedConfig().enabled


def test_what_splats_show_where_no_photo_looked_is_not_known(tmp_path):
    scene = wall_with_ball(tmp_path)
    photos = observed_views(Photos(scene.capture.views, CPU), nothing_removed(scene.wall, scene.capture), rasterize)
    config = UnobservedConfig(margin=0.6)
    wide = outpainted(photos[0], photos, scene.wall, rasterize, config)
    seen_by_none = torch.tensor([[-1.1, 0.0, 1.0]])  # on the wall, outside all frames
    assert not any(bool(photo.camera.find(seen_by_none)[3]) for photo in photos)
    column, row = wide.camera.project(seen_by_none)[0][0, 0].long().tolist()
    assert rasterize(scene.wall, wide.camera).alpha[0, 0, row, column] > 0.9
    assert wide.unobserved[0, 0, row, column] == 1
    completed = add_synthetic_views(photos, scene.wall, rasterize, config, max_views=9)
    kept = completed.kept
    assert 0 < len(kept) < len(scene.wall)
    assert any(bool(photo.camera.find(kept.means)[3].any()) for photo in photos)
    dropped = scene.wall.means[:, 0].abs() > 1.0
    assert float((kept.means[:, 0].abs() > 1.0).sum()) < 0.5 * float(dropped.sum())
    torn = torch.cat([view.support_removed.flatten() for view in completed.views])
    shown = torch.cat([view.observed.flatten() for view in completed.views])
    lost = torch.cat([(whole.alpha - rasterize(kept, whole.camera).alpha).flatten() for whole in photos])
    assert (lost > 0.3).any() == (torn * shown > 0).any()


def test_gaps_between_photos_are_filled_and_the_photos_stay_as_they_were(tmp_path):
    scene, removal = holed_wall(tmp_path)
    bare = nothing_removed(removal.kept, scene.capture)
    for view in scene.capture.views:  # photos that show everything but the middle, which they may not teach
        write_image(view.image, rasterize(removal.kept, view.camera).color[0].clamp(0, 1))
    photos = observed_views(Photos(scene.capture.views, CPU), bare, rasterize)
    ignored = [view.with_maps(observed=view.alpha > 0.8) for view in photos]
    views = add_synthetic_views(ignored, removal.kept, rasterize, UnobservedConfig(between=3), max_views=9).views
    assert [bool(view.unobserved.any()) for view in views] == [False] * len(photos) + [True] * 3
    fill = seed_fill(views, rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert len(fill) > 0
    config = FillConfig(unobserved=UnobservedConfig(between=3), boundary_px=4.0)
    crops = choose_crops(views, removal.kept, fill, rasterize, config)
    assert {crop.view for crop in crops} == set(range(len(views)))
    assert all(crop.supervised.sum() == 0 for crop in crops if crop.view < len(photos))
