from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from splatpaint.errors import ConfigError
from splatpaint.events import Measured, drain
from splatpaint.fit.density import DensityConfig
from splatpaint.fit.photos import (
    COARSE_LEAST_PX,
    COARSE_SHARE,
    MAX_INITIAL_SCALE,
    PhotoSampler,
    ReconstructConfig,
    background_of_step,
    seed_splats,
)
from splatpaint.fit.samplers import view_of_step
from splatpaint.formats import FormatOptions, write_splats
from splatpaint.image.files import read_image, write_image, write_mask
from splatpaint.render.reference import rasterize
from splatpaint.scene.frames import in_input_frame
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import PointCloud, Similarity, View, with_exposures
from splatpaint.stages.locate import locate
from splatpaint.stages.reconstruct import Reconstruction, adopt, held_out_psnr, reconstruct
from tests.stages.test_remove import SHARP
from tests.support.scenes import one_camera
from tests.support.walls import wall_with_ball

CPU = torch.device("cpu")


def test_every_epoch_sees_every_view_once_in_an_order_of_its_own():
    epochs = [[view_of_step(epoch * 7 + place, 7, seed=3) for place in range(1, 8)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert [view_of_step(step, 7, seed=3) for step in range(1, 8)] == epochs[0]


def test_the_first_steps_see_large_photos_at_half_their_size(tmp_path):
    config = ReconstructConfig(steps=100)
    last_coarse = int(COARSE_SHARE * config.steps)

    def widths(width: int, **given: bool) -> list[int]:
        image = tmp_path / f"{width}.png"
        write_image(image, torch.full((3, 60, width), 0.5))
        photos = Photos([View("one", one_camera(width, 60), image)], CPU)
        sampler = PhotoSampler(photos, config, seed=0, **given)
        return [sampler(step).target.shape[-1] for step in (1, last_coarse, last_coarse + 1, config.steps)]

    large, small = 2 * COARSE_LEAST_PX, 2 * COARSE_LEAST_PX - 2
    assert widths(large) == [large // 2, large // 2, large, large]
    assert widths(large, coarse=True) == [large // 2] * 4
    assert widths(small) == [small] * 4


def test_first_splats_are_no_larger_than_a_share_of_their_distance(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    points = PointCloud(torch.tensor([[0.0, 0, 1], [0, 0, 8]]), torch.zeros(2, 3).byte())
    splats = seed_splats(Photos(capture.views[:1], CPU), points, ReconstructConfig())
    distances = (points.positions - capture.views[0].camera.centers).norm(dim=1)
    torch.testing.assert_close(splats.log_scales.exp(), MAX_INITIAL_SCALE * distances[:, None].repeat(1, 3))


def test_held_out_views_get_better_with_training(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    capture = replace(capture, views=capture.views[1:], held_out=capture.views[:1])

    def score(steps: int) -> float:
        events = reconstruct(
            capture, Photos(capture.views, CPU), rasterize, ReconstructConfig(steps=steps, sh_degree=0), seed=0
        )
        (measured,) = [event for event in events if isinstance(event, Measured)]
        return measured.values["held_out_psnr"]

    before, after = score(1), score(60)
    assert after > before + 2
    assert after > 20


def test_of_photos_that_are_masked_or_ignored_there_is_no_score(tmp_path):
    scene = wall_with_ball(tmp_path)
    everything = tmp_path / "everything.png"
    write_mask(everything, torch.ones(1, 32, 40))

    def scores(**masks: Path) -> set[str]:
        views = [replace(view, **masks) for view in scene.capture.views]
        return set(held_out_psnr(scene.scene, Photos(views, CPU), rasterize))

    assert scores() == {"held_out_psnr", "held_out_psnr_unmasked"}
    assert scores(fill_mask=everything) == {"held_out_psnr"}
    assert scores(ignore_mask=everything) == set()


def test_photos_that_are_exposed_unlike_show_one_scene(tmp_path):
    wall = wall_with_ball(tmp_path)
    gains = (0.5, 0.7, 0.9, 0.6, 0.8)
    for view, gain in zip(wall.capture.views, gains, strict=True):
        write_image(view.image, gain * read_image(view.image))

    def fit(*, exposures: bool) -> Reconstruction:
        config = ReconstructConfig(steps=60, sh_degree=0, exposures=exposures)
        return drain(reconstruct(wall.capture, Photos(wall.capture.views, CPU), rasterize, config, seed=0))

    def error(found: Reconstruction) -> float:
        """Of what the photos are said to show."""
        photos = Photos(with_exposures(wall.capture, found.exposures).views, CPU)
        colors = (rasterize(found.splats, photo.camera).color for photo in photos)
        shown = (view.exposure.apply(color) for view, color in zip(photos.views, colors, strict=True))
        return sum(float((a - b.image).abs().mean()) for a, b in zip(shown, photos.as_taken(), strict=True))

    told, untold = fit(exposures=True), fit(exposures=False)
    assert untold.exposures == {}
    found = torch.tensor([told.exposures[view.name].gain for view in wall.capture.views])
    wanted = torch.tensor(gains)[:, None].expand(-1, 3)
    torch.testing.assert_close(found / found.mean(dim=0), wanted / wanted.mean(dim=0), atol=0.06, rtol=0)
    assert error(told) < 0.6 * error(untold)


def test_black_things_are_things(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    for view in capture.views:
        write_image(view.image, 0 * read_image(view.image))

    def opacity(background: Literal["random", "black"]) -> float:
        config = ReconstructConfig(steps=150, sh_degree=0, exposures=False, background=background)
        splats = drain(reconstruct(capture, Photos(capture.views, CPU), rasterize, config, seed=0)).splats
        return float(sum(rasterize(splats, view.camera).alpha.mean() for view in capture.views)) / len(capture.views)

    random, black = opacity("random"), opacity("black")
    assert random > 0.95
    assert 1 - random < 0.5 * (1 - black), (random, black)


def test_what_is_behind_the_splats_changes_with_every_step_and_with_nothing_else():
    config = ReconstructConfig()
    colors = [background_of_step(step, config, 0, CPU) for step in (1, 2, 1)]
    assert torch.equal(colors[0], colors[2])
    assert not torch.equal(colors[0], colors[1])
    assert background_of_step(1, ReconstructConfig(background="black"), 0, CPU) is None


def test_pixels_that_show_the_object_never_count(tmp_path):
    photos = Photos(wall_with_ball(tmp_path).capture.views, CPU)
    occluded = {photo.name: photo.fill.bool() for photo in photos}
    config = ReconstructConfig(steps=20)
    with_object = PhotoSampler(photos, config, seed=0)
    without = PhotoSampler(photos, config, seed=0, occluded=occluded)
    for step in range(1, 21):
        whole, apart = with_object(step), without(step)
        hidden = occluded[photos.views[view_of_step(step, len(photos), 0)].name]
        assert hidden.any()
        assert apart.weight[hidden].sum() == 0 < whole.weight[hidden].sum()
        assert torch.equal(apart.weight[~hidden], whole.weight[~hidden])


def test_the_object_is_beside_the_background(tmp_path):
    wall = wall_with_ball(tmp_path)
    photos = Photos(wall.capture.views, CPU)
    config = ReconstructConfig(steps=60, sh_degree=0, locate_share=1.0)
    located = drain(locate(wall.capture, photos, rasterize, config, SHARP, seed=0))
    splats = drain(reconstruct(wall.capture, photos, rasterize, config, seed=0, located=located)).splats
    assert torch.equal(splats[located.in_scene(splats)].means, located.splats.means)
    with_ball, without = splats, splats[~located.in_scene(splats)]
    for photo in photos:
        red = [rasterize(scene, photo.camera).color[:, :1][photo.fill > 0].mean() for scene in (with_ball, without)]
        assert red[0] > red[1] + 0.1


def test_what_shows_the_object_says_nothing_of_a_photos_light(tmp_path):
    wall = wall_with_ball(tmp_path)
    photos = Photos(wall.capture.views, CPU)
    config = ReconstructConfig(steps=5, sh_degree=0, locate_share=1.0)
    located = drain(locate(wall.capture, photos, rasterize, config, SHARP, seed=0))

    def shown(color: float) -> torch.Tensor:
        """How the photos show white, found after the pixels of the object were painted over."""
        for view in wall.capture.views:
            painted = torch.where(located.occluded[view.name][0], color, read_image(view.image))
            write_image(view.image, painted)
        painted_over = Photos(wall.capture.views, CPU)
        found = drain(reconstruct(wall.capture, painted_over, rasterize, config, seed=0, located=located)).exposures
        return torch.cat([exposure.apply(torch.ones(1, 3, 8, 8)) for exposure in found.values()])

    black, white = shown(0.0), shown(1.0)
    assert float((black - 1).abs().max()) > 0.02
    torch.testing.assert_close(black, white, atol=5e-3, rtol=0)  # windows of the training's SSIM reach over the outline


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_of_steps_that_locates_nothing_is_refused(share):
    with pytest.raises(ConfigError, match=f"locate_share is {share}, expected a share above 0, up to 1"):
        ReconstructConfig(locate_share=share)


def test_what_hangs_right_before_a_camera_goes(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    points, camera = capture.points, capture.views[0].camera
    middle = camera.unproject(torch.full((1, 1, camera.height, camera.width), 0.05))[0, camera.height // 2, camera.width // 2]
    with_a_stray = PointCloud(torch.cat([points.positions, middle[None]]), torch.cat([points.colors, points.colors[:1]]))

    def nearest(bound: float) -> float:
        config = ReconstructConfig(steps=20, sh_degree=0, near_floater_depth=bound, density=DensityConfig(every=10))
        fit = reconstruct(replace(capture, points=with_a_stray), Photos(capture.views, CPU), rasterize, config, seed=0)
        _, _, depth, within = camera.find(drain(fit).splats.means)
        return float(depth[within].min())

    assert nearest(0.0) < 0.2 < nearest(0.25)


@pytest.mark.parametrize("depth", [-0.1, 1.0])
def test_a_share_that_would_call_everything_a_near_floater_is_refused(depth):
    with pytest.raises(ConfigError, match=f"near_floater_depth is {depth}, expected a share from 0 to below 1"):
        ReconstructConfig(near_floater_depth=depth)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"sh_degree": 4}, {"sh_degree": -1}])
def test_numbers_that_no_fit_can_have_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{name} is {wrong[name]}, expected"):
        ReconstructConfig(**wrong)


@pytest.mark.parametrize("suffix", [".ply", ".safetensors"])
def test_splats_that_name_an_offset_come_back_to_their_place(tmp_path, suffix):
    capture = wall_with_ball(tmp_path).capture
    capture = replace(capture, world_from_input=Similarity(0.2, (-1e5, -1e6, 30.0)))
    splats = seed_splats(Photos(capture.views[:1], CPU), capture.points, ReconstructConfig())
    offset = (500_000.0, 5_000_000.0, 0.0)
    far = in_input_frame(splats, capture.world_from_input.from_place(offset))
    write_splats(tmp_path / f"far{suffix}", far, FormatOptions(offset=offset))
    config = ReconstructConfig(exposures=False)
    found = drain(adopt(tmp_path / f"far{suffix}", capture, Photos(capture.views, CPU), rasterize, config))
    torch.testing.assert_close(found.splats.means, splats.means, atol=1e-4, rtol=0)
