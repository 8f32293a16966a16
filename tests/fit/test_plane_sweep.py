from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from splatpaint.fit.plane_sweep import swept_points
from splatpaint.image.files import write_image, write_mask
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.views import PointCloud, View

CPU = torch.device("cpu")
DEPTH = 3.0
"""Of a painted wall before the cameras, in world units."""
K = torch.tensor([[[90.0, 0, 48], [0, 90.0, 36], [0, 0, 1]]])


def wall_color(x: Tensor, y: Tensor) -> Tensor:
    """Waves of several lengths, no two places alike; gray and plain in the right half."""
    waves = torch.stack([(19 * x + 9 * y).sin() + (8 * x - 23 * y).sin(), (15 * x * y).sin(), (24 * y + 7 * x).cos()], dim=0)
    return torch.where(x < 0, 0.5 + 0.2 * waves, torch.tensor(0.5))


def photos_of_the_wall(folder: Path, *, ignored: bool = False) -> Photos:
    """Three photos of 96 x 72 pixels, taken side by side."""
    views = []
    for number, eye in enumerate((-0.4, 0.0, 0.4)):
        pose = torch.eye(4)[None].clone()
        pose[0, 0, 3] = -eye
        camera = Cameras(K, pose, width=96, height=72)
        rays = camera.rays()[0]
        image, mask = folder / f"{number}.png", folder / f"{number}_ignored.png"
        write_image(image, wall_color(rays[..., 0] * DEPTH + eye, rays[..., 1] * DEPTH).clamp(0, 1))
        write_mask(mask, torch.ones(1, 72, 96))
        views.append(View(f"{number}", camera, image, ignore_mask=mask if ignored else None))
    return Photos(views, CPU)


def one_point() -> PointCloud:
    return PointCloud(torch.tensor([[-0.5, 0.0, DEPTH]]), torch.full((1, 3), 7).byte())


def test_points_of_what_photos_show_lie_where_it_is(tmp_path):
    found = swept_points(photos_of_the_wall(tmp_path), one_point())
    x, y, z = found.positions.unbind(dim=1)
    textured = (x > -1.2) & (x < -0.2) & (y.abs() < 0.8)
    assert textured.sum() > 50
    assert ((z[textured] / DEPTH - 1).abs() < 0.1).float().mean() > 0.9


def test_what_looks_the_same_at_any_depth_is_behind_all_else(tmp_path):
    found = swept_points(photos_of_the_wall(tmp_path), one_point()).positions
    plain = found[found[:, 0] / found[:, 2] > 0.3]
    assert len(plain) > 50
    assert (plain[:, 2] > 3 * DEPTH).all()


def test_the_given_points_come_first_and_their_cells_get_no_others(tmp_path):
    photos = photos_of_the_wall(tmp_path)
    once = swept_points(photos, one_point())
    assert torch.equal(once.positions[:1], one_point().positions)
    assert torch.equal(once.colors[:1], one_point().colors)
    twice = swept_points(photos, once)
    assert len(twice) < len(once) + 0.02 * len(once), "every cell of every photo has a point now"


def test_points_have_the_colors_of_the_photos(tmp_path):
    found = swept_points(photos_of_the_wall(tmp_path), one_point())
    plain = found.positions[:, 0] / found.positions[:, 2] > 0.3
    assert ((found.colors[plain].float() / 255 - 0.5).abs() < 0.02).all()


def test_ignored_pixels_get_no_points(tmp_path):
    assert len(swept_points(photos_of_the_wall(tmp_path, ignored=True), one_point())) == 1


def test_one_photo_alone_gives_no_points(tmp_path):
    photos = photos_of_the_wall(tmp_path)
    assert len(swept_points(photos.of(photos.views[:1]), one_point())) == 1


def test_an_object_that_is_left_out_gives_no_point_its_color(tmp_path):
    """A red disc before the wall, its pixels not usable: no cell that it touches gets a point of its color."""
    y, x = torch.meshgrid(torch.arange(72) - 35.0, torch.arange(96) - 47.0, indexing="ij")
    disc = ((x * x + y * y).sqrt() < 17)[None, None]
    red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]

    def photos() -> Iterator[Photo]:
        for photo in photos_of_the_wall(tmp_path):
            image = torch.where(disc, red, 0 * photo.image + 0.5)
            yield replace(photo, image=image, usable=photo.usable * ~disc)

    found = swept_points(photos(), one_point())
    assert len(found.positions) > 100
    assert (found.colors[1:].float() - 127.5).abs().max() < 2


def test_what_one_photo_alone_shows_gets_no_point(tmp_path):
    """At the borders nobody tells the depth, and what is far off there would shine through the walls of a room."""
    views = photos_of_the_wall(tmp_path).views
    away = replace(views[0].camera, cam_from_world=torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))[None])
    alone = replace(views[0], name="away", camera=away)
    found = swept_points(Photos([*views, alone], CPU), one_point()).positions
    assert len(found) > 100
    assert (found[:, 2] > 0).all()


def test_nothing_is_put_behind_what_the_other_photos_show_there(tmp_path):
    """The first photo does not see a wall at its right; what it would put far away is behind it for the others."""
    y, x = torch.meshgrid(torch.linspace(-1.3, 1.3, 40), torch.linspace(1.25, 2.2, 40), indexing="ij")
    wall = torch.stack([x.flatten(), y.flatten(), torch.full((x.numel(),), DEPTH)], dim=1)
    wall = torch.cat([one_point().positions, wall])
    photos = photos_of_the_wall(tmp_path)

    def far_points(points: PointCloud) -> int:
        """Those that only the right border of the first photo puts there."""
        x, y, z = swept_points(photos, points).positions.unbind(dim=1)
        column = (x + 0.4) / z * 90 + 48
        return int(((z > 2 * DEPTH) & (column > 86) & (column < 96) & (y.abs() < z)).sum())

    open_view, walled = one_point(), PointCloud(wall, torch.full((len(wall), 3), 128).byte())
    assert far_points(walled) < 0.3 * far_points(open_view)
