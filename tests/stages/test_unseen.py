import torch

from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.stages.inpaint import surroundings
from splatpaint.stages.remove import untouched
from splatpaint.stages.unseen import UnseenConfig, complete, drawn, halfway, widened
from tests.support.walls import SIZE, holed_wall, wall_with_ball

CPU = torch.device("cpu")
WIDTH, HEIGHT = SIZE


def test_a_widened_view_keeps_its_photo_and_has_holes_where_the_scene_ends(tmp_path):
    scene, removal = holed_wall(tmp_path)
    photos = surroundings(scene.capture, removal, rasterize, CPU)
    view = photos[0]
    wide = widened(view, photos, removal.kept, rasterize, UnseenConfig(margin=1.0))
    assert (wide.camera.width, wide.camera.height) == (3 * WIDTH, 3 * HEIGHT)
    middle = (..., slice(HEIGHT, 2 * HEIGHT), slice(WIDTH, 2 * WIDTH))
    for name in ("image", "seen", "hole", "torn"):
        assert torch.equal(getattr(wide, name)[middle], getattr(view, name)), name
    assert wide.seen.sum() == view.seen.sum()
    end = wide.camera.project(torch.tensor([[0.6, 0.0, 1.0], [-1.6, 0.0, 1.0]]))[0][0].floor().long().tolist()
    assert [float(wide.hole[0, 0, row, column]) for column, row in end] == [0.0, 1.0]


def test_what_the_splats_show_of_a_view_is_known_and_narrow_gaps_are_no_holes(tmp_path):
    scene, removal = holed_wall(tmp_path)
    camera = scene.capture.views[0].camera
    photos = surroundings(scene.capture, removal, rasterize, CPU)
    everywhere = surroundings(scene.capture, untouched(scene.wall, scene.capture), rasterize, CPU)
    whole = drawn(camera, everywhere, scene.wall, rasterize, UnseenConfig(between=1))
    assert whole.hole[..., 4:-4, 4:-4].sum() == 0
    bare = drawn(camera, photos, removal.kept, rasterize, UnseenConfig(between=1))
    middle = camera.project(torch.tensor([[0.0, 0.0, 1.0]]))[0][0, 0].long().tolist()
    assert bare.hole[0, 0, middle[1], middle[0]] == 1
    assert bare.seen.sum() == 0


def test_poses_halfway_are_between_neighbors_each_pair_once():
    cam_from_world = torch.eye(4).repeat(4, 1, 1)
    cam_from_world[:, 0, 3] = -torch.tensor([0.0, 1.0, 3.0, 4.5])
    cameras = Cameras(torch.eye(3).repeat(4, 1, 1), cam_from_world, 8, 8)
    made = halfway([cameras[index] for index in range(4)], 10)
    assert [float(camera.centers[0, 0]) for camera in made] == [0.5, 3.75]
    assert len(halfway([cameras[index] for index in range(4)], 1)) == 1


def test_nothing_is_added_unless_it_is_asked_for(tmp_path):
    scene, removal = holed_wall(tmp_path)
    views = surroundings(scene.capture, removal, rasterize, CPU)
    assert complete(views, removal.kept, rasterize, UnseenConfig()).views == views
    assert len(complete(views, removal.kept, rasterize, UnseenConfig(between=2)).views) == len(views) + 2
    assert not UnseenConfig().asked


def test_what_splats_show_where_no_photo_looked_is_not_known(tmp_path):
    scene = wall_with_ball(tmp_path)
    photos = surroundings(scene.capture, untouched(scene.wall, scene.capture), rasterize, CPU)
    config = UnseenConfig(margin=0.6)
    wide = widened(photos[0], photos, scene.wall, rasterize, config)
    seen_by_none = torch.tensor([[-1.1, 0.0, 1.0]])  # on the wall, outside all frames
    assert not any(bool(photo.camera.find(seen_by_none)[3]) for photo in photos)
    column, row = wide.camera.project(seen_by_none)[0][0, 0].long().tolist()
    assert rasterize(scene.wall, wide.camera).alpha[0, 0, row, column] > 0.9
    assert wide.hole[0, 0, row, column] == 1
    kept = complete(photos, scene.wall, rasterize, config).kept
    assert 0 < len(kept) < len(scene.wall)
    assert any(bool(photo.camera.find(kept.means)[3].any()) for photo in photos)
    dropped = scene.wall.means[:, 0].abs() > 1.0
    assert float((kept.means[:, 0].abs() > 1.0).sum()) < 0.5 * float(dropped.sum())
