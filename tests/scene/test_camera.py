from dataclasses import replace

import pytest
import torch

from splatpaint.scene.camera import Cameras, look_at, stack
from tests.support.scenes import one_camera, orbit


def test_poses_invert():
    cameras = orbit(5)
    identity = torch.eye(4).expand(5, 4, 4)
    torch.testing.assert_close(cameras.cam_from_world @ cameras.world_from_cam, identity, atol=1e-6, rtol=0)


def test_centers_are_where_the_cameras_stand():
    eyes = torch.tensor([[1.0, 2.0, -3.0], [0.0, -1.0, 5.0]])
    poses = look_at(eyes, torch.zeros(2, 3), torch.tensor([0.0, -1.0, 0.0]))
    cameras = Cameras(K=one_camera().K.repeat(2, 1, 1), cam_from_world=poses, width=33, height=25)
    torch.testing.assert_close(cameras.centers, eyes)


def test_a_camera_that_looks_at_a_point_has_it_in_the_middle_and_up_above():
    cameras = orbit(6, width=32, height=24, distance=4.0)
    pixels, depths = cameras.project(torch.tensor([[0.0, 0.0, 0.0], [0.0, -0.5, 0.0]]))
    torch.testing.assert_close(pixels[:, 0], torch.tensor([16.0, 12.0]).expand(6, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(depths[:, 0], cameras.centers.norm(dim=1))
    assert (pixels[:, 1, 1] < 12).all()  # world up is -y, and up in the image is a smaller row
    torch.testing.assert_close(pixels[:, 1, 0], torch.full((6,), 16.0), atol=1e-4, rtol=0)


def test_projecting_what_was_unprojected_gives_the_pixel_centers():
    cameras = orbit(2, width=7, height=5)
    depth = 1 + torch.rand(2, 1, 5, 7)
    points = cameras.unproject(depth)
    for view in range(2):
        pixels, z = cameras[view].project(points[view].reshape(-1, 3))
        y, x = torch.meshgrid(torch.arange(5) + 0.5, torch.arange(7) + 0.5, indexing="ij")
        torch.testing.assert_close(pixels[0], torch.stack([x, y], dim=-1).reshape(-1, 2), atol=1e-4, rtol=0)
        torch.testing.assert_close(z[0], depth[view].flatten())


def test_unprojecting_some_pixels_gives_what_unprojecting_all_gives_there():
    camera = orbit(2, width=33, height=25)[1]
    depth = 1 + torch.rand(1, 1, camera.height, camera.width, generator=torch.Generator().manual_seed(0))
    where = depth > 1.6
    torch.testing.assert_close(camera.unproject_where(depth, where), camera.unproject(depth)[0][where[0, 0]])
    assert camera.unproject_where(depth, depth > 2).shape == (0, 3)


def test_rays_have_unit_z_and_the_middle_one_is_the_optical_axis():
    rays = one_camera(width=33, height=25).rays()
    assert torch.equal(rays[..., 2], torch.ones(1, 25, 33))
    torch.testing.assert_close(rays[0, 12, 16], torch.tensor([0.0, 0.0, 1.0]))


def test_projection_never_divides_by_zero():
    pixels, depths = one_camera().project(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, -2.0]]))
    assert pixels.isfinite().all()
    assert depths[0].tolist() == [0.0, -2.0]


def test_resized_cameras_see_the_same_at_scaled_pixels():
    points, cameras = torch.randn(10, 3), orbit(2, width=32, height=24)
    pixels, depths = cameras.project(points)
    resized = cameras.resized(64, 12)
    scaled, same_depths = resized.project(points)
    torch.testing.assert_close(scaled, pixels * torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(same_depths, depths)
    assert (resized.width, resized.height) == (64, 12)


def test_cropped_cameras_see_the_same_at_shifted_pixels():
    points, cameras = torch.randn(10, 3), orbit(2)
    cropped = cameras.cropped(-3, 5, 20, 10)
    torch.testing.assert_close(cropped.project(points)[0], cameras.project(points)[0] - torch.tensor([-3.0, 5.0]))
    assert (cropped.width, cropped.height) == (20, 10)


def test_indexing_keeps_the_view_axis():
    cameras = orbit(4)
    assert len(cameras[1]) == len(cameras[-1]) == 1
    assert torch.equal(cameras[-1].K, cameras.K[3:])
    assert torch.equal(cameras[1:3].cam_from_world, cameras.cam_from_world[1:3])
    assert torch.equal(cameras[torch.tensor([2, 0])].cam_from_world, cameras.cam_from_world[[2, 0]])


def test_stacking_undoes_indexing():
    cameras = orbit(3)
    whole = stack(cameras[view] for view in range(3))
    assert torch.equal(whole.K, cameras.K)
    assert torch.equal(whole.cam_from_world, cameras.cam_from_world)


def test_what_cannot_be_stacked_is_refused():
    with pytest.raises(ValueError, match="no cameras to stack"):
        stack([])
    with pytest.raises(ValueError, match="different image sizes"):
        stack([orbit(1), orbit(1, width=8)])


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="image size 0x25 is not positive"):
        replace(one_camera(), width=0)


def test_points_are_found_in_their_pixels_and_strangers_at_the_border():
    camera = one_camera()
    centers = camera.unproject(torch.full((1, 1, camera.height, camera.width), 2.0))[0]
    row, column, depth, inside = camera.find(centers[3:5, 6].contiguous())
    assert (row.tolist(), column.tolist(), inside.tolist()) == ([3, 4], [6, 6], [True, True])
    torch.testing.assert_close(depth, torch.full((2,), 2.0))
    beyond = centers[0, 0] + 10 * (centers[0, 0] - centers[0, -1])
    row, column, _, inside = camera.find(torch.stack([beyond, 2 * camera.centers[0] - centers[3, 6]]))
    assert not inside.any(), "left of the frame, and behind the camera"
    assert column[0] == 0
    assert (row < camera.height).all()


def test_lengths_are_given_on_images_of_480_px_and_grow_with_larger_ones():
    camera = one_camera()
    lengths = [replace(camera, width=width, height=height).px(16) for width, height in ((160, 90), (480, 270), (540, 960))]
    assert lengths == [16, 16, 32]


def test_a_crop_and_a_widened_frame_have_the_pixels_of_the_whole_image():
    camera = replace(one_camera(), width=960, height=540)
    assert camera.cropped(100, 100, 50, 40).px(16) == 32
    assert camera.cropped(-480, -270, 1920, 1080).px(16) == 32
    assert camera.cropped(0, 0, 50, 40).resized(25, 20).px(16) == 16
