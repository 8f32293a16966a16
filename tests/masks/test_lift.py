import torch

from splatpaint.masks.lift import MaskedView, Region, centers_inside, lift, rendered_share
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import concatenate
from tests.support.scenes import cloud, one_camera, orbit, splat_at


def masked_view(camera, *masks):
    return MaskedView(camera, *(mask.bool() for mask in masks))


def two_balls():
    return concatenate([splat_at((-0.6, 0.0, 0.0), opacity=0.9), splat_at((0.6, 0.0, 0.0), opacity=0.9)])


def seen_masks(splats, cameras, labels):
    for index in range(len(cameras)):
        camera = cameras[index]
        mask = (rasterize(splats, camera, features=labels[:, None]).color > 0.1).float()
        yield masked_view(camera, mask, mask, torch.ones_like(mask))


def test_votes_are_the_weights_with_which_splats_paint_the_mask():
    splats, camera = cloud(6), orbit(1)
    mask = torch.zeros(1, 1, camera.height, camera.width)
    mask[..., :12] = 1
    near = torch.zeros_like(mask)
    near[..., :16] = 1
    votes = lift(splats, [masked_view(camera, mask, near, torch.ones_like(mask))], rasterize)
    for index in range(len(splats)):
        label = torch.zeros(len(splats), 1)
        label[index] = 1
        painted = rasterize(splats, camera, features=label).color
        torch.testing.assert_close(votes.inside[index], (painted * mask).sum(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(votes.outside[index], (painted * (1 - mask)).sum(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(votes.outside_margin[index], (painted * (1 - near)).sum(), atol=1e-4, rtol=1e-4)


def test_all_votes_together_are_the_accumulated_opacity():
    splats, camera = cloud(20), orbit(1)
    everywhere = torch.ones(1, 1, camera.height, camera.width)
    votes = lift(splats, [masked_view(camera, everywhere, everywhere, everywhere)], rasterize)
    torch.testing.assert_close(votes.total.sum(), rasterize(splats, camera).alpha.sum(), rtol=1e-4, atol=1e-3)
    assert votes.outside.abs().max() == 0


def test_lifted_mask_casts_back_onto_the_object():
    splats, cameras = two_balls(), orbit(4)
    labels = torch.tensor([1.0, 0.0])
    votes = lift(splats, seen_masks(splats, cameras, labels), rasterize)
    assert votes.share[0] > 0.5 > votes.share[1]


def test_pixels_that_do_not_count_do_not_vote():
    splats, cameras = two_balls(), orbit(3)
    nothing = torch.zeros(1, 1, cameras.height, cameras.width)
    votes = lift(splats, [masked_view(cameras[index], nothing + 1, nothing + 1, nothing) for index in range(3)], rasterize)
    assert votes.total.abs().max() == 0
    assert votes.share.abs().max() == 0


def test_a_close_up_has_one_vote_like_any_other_view():
    splats = splat_at((0.0, 0.0, 2.0), opacity=0.9)
    camera = one_camera()
    K = camera.K.clone()
    K[:, [0, 1], [0, 1]] *= 4
    near = Cameras(K, camera.cam_from_world, camera.width, camera.height)
    everywhere = torch.ones(1, 1, camera.height, camera.width)
    masked_views = [
        masked_view(near, 0 * everywhere, 0 * everywhere, everywhere),
        masked_view(camera, everywhere, everywhere, everywhere),
    ]
    votes = lift(splats, masked_views, rasterize)
    assert votes.outside > 4 * votes.inside
    torch.testing.assert_close(votes.share, torch.tensor([0.5]))


def test_only_what_is_well_outside_the_mask_is_clear_of_it():
    splats = concatenate([splat_at((0.0, 0.0, 2.0), opacity=0.9), splat_at((0.9, 0.0, 2.0), opacity=0.9)])
    camera = one_camera()
    mask = torch.zeros(1, 1, camera.height, camera.width)
    near = (rasterize(splats, camera, features=torch.tensor([[1.0], [0.0]])).color > 0.01).float()
    votes = lift(splats, [masked_view(camera, mask, near, torch.ones_like(mask))], rasterize)
    assert votes.share.tolist() == [0.0, 0.0]
    assert votes.share_outside_margin[0] < 0.1
    assert votes.share_outside_margin[1] > 0.9


def test_a_buried_center_is_judged_by_the_views_that_look_at_it():
    camera = one_camera()
    left_half = torch.zeros(1, 1, camera.height, camera.width)
    left_half[..., : camera.width // 2] = 1
    splats = concatenate(
        [splat_at((-0.2, 0.0, 2.0)), splat_at((0.2, 0.0, 2.0)), splat_at((0.0, 0.0, -2.0)), splat_at((9.0, 0.0, 2.0))]
    )
    inside = centers_inside(splats, [masked_view(camera, left_half, left_half, left_half)])
    assert inside.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_the_share_of_a_region_is_that_of_the_weight_in_counted_pixels():
    splats = concatenate([splat_at((-0.4, 0.0, 2.0), opacity=0.9), splat_at((0.4, 0.0, 2.0), opacity=0.9)])
    camera = one_camera()
    left = torch.zeros(1, 1, camera.height, camera.width)
    left[..., : camera.width // 2] = 1
    everywhere = torch.ones_like(left)
    share = rendered_share(splats, [Region(camera, left, everywhere)], rasterize)
    assert share[0] > 0.95
    assert share[1] < 0.05
    half = rendered_share(splats, [Region(camera, left, left), Region(camera, 0 * left, left)], rasterize)
    torch.testing.assert_close(half[0], torch.tensor(0.5))
    unseen = splat_at((0.0, 0.0, -2.0))
    assert rendered_share(unseen, [Region(camera, everywhere, everywhere)], rasterize).tolist() == [0.0]


def test_pixels_that_do_not_count_are_in_no_region():
    camera = one_camera()
    everywhere = torch.ones(1, 1, camera.height, camera.width)
    share = rendered_share(splat_at((0.0, 0.0, 2.0), opacity=0.9), [Region(camera, everywhere, 0 * everywhere)], rasterize)
    assert share.tolist() == [0.0]
