import pytest
import torch

from splatpaint.fill.novel_views import NovelViewSampler, NovelViewsConfig, Scene, is_useful, propose, render_novel
from splatpaint.fit.seeding import round_splats
from splatpaint.render.reference import rasterize
from splatpaint.scene.paths import shifted
from splatpaint.scene.splats import concatenate
from tests.support.gaussian_prior import GaussianPrior
from tests.support.walls import holed_wall

GREEN = torch.tensor([0.1, 0.7, 0.2])
PRIOR = GaussianPrior(mu=GREEN[None, :, None, None], s=0.02)
CENTER = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture
def filled_wall(tmp_path):
    """Kept splats, a gray fill, the cameras."""
    scene, removal = holed_wall(tmp_path)
    side = torch.linspace(-0.12, 0.12, 7)
    y, x = torch.meshgrid(side, side, indexing="ij")
    means = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)
    gray = torch.full_like(means, 0.5)
    fill = round_splats(means, gray, torch.full((49,), 0.04), opacity=0.95, sh_degree=0)
    return removal.kept, fill, [view.camera for view in scene.capture.views]


def test_the_hole_is_where_the_fill_shows_from_anywhere(filled_wall):
    kept, fill, cameras = filled_wall
    scene = Scene(kept, fill, torch.ones(len(fill), dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        seen = render_novel(propose(cameras, CENTER, NovelViewsConfig(), generator), scene, rasterize)
        corner = seen.camera.project(torch.tensor([[0.0, 0.0, 1.0], [0.35, 0.0, 1.0]]))[0][0].floor().long()
        (inside, outside) = corner.tolist()
        assert seen.hole[0, 0, inside[1], inside[0]] == 1
        assert seen.hole[0, 0, outside[1], outside[0]] == 0


@pytest.mark.parametrize("kind", ["between", "jittered", "around"])
def test_poses_are_near_the_photos_and_look_the_same_way(filled_wall, kind):
    _, _, cameras = filled_wall
    centers = torch.cat([camera.centers for camera in cameras])
    generator = torch.Generator().manual_seed(0)
    config = NovelViewsConfig(kinds=(kind,))
    made = [propose(cameras, CENTER, config, generator) for _ in range(8)]
    for camera in made:
        distance = (CENTER - camera.centers[0]).norm()
        assert torch.cdist(camera.centers, centers).min() < 0.3 * distance
        pixel, depth = camera.project(CENTER[None])
        assert depth > 0
        assert 0 < pixel[0, 0, 0] < camera.width
    assert len({tuple(camera.centers[0].tolist()) for camera in made}) == 8


def test_poses_inside_things_and_away_from_the_hole_are_refused(filled_wall):
    kept, fill, cameras = filled_wall
    scene = Scene(kept, fill, torch.ones(len(fill), dtype=torch.bool))
    assert is_useful(render_novel(cameras[0], scene, rasterize), CENTER)
    aside = shifted(cameras[0], torch.tensor([3.0, 0.0, 0.0]))
    assert not is_useful(render_novel(aside, scene, rasterize), CENTER)
    left, _, ahead = cameras[0].world_from_cam[0, :3, :3].T * torch.tensor([[-0.03], [0.0], [0.1]])
    before_it = (cameras[0].centers[0] + ahead + left).expand(20, 3)
    curtain = round_splats(before_it, torch.zeros(20, 3), torch.full((20,), 0.015), opacity=0.99, sh_degree=0)
    behind_it = Scene(concatenate([curtain, kept]), fill, scene.is_fill)
    assert not is_useful(render_novel(cameras[0], behind_it, rasterize), CENTER)


def sampler_of(config, filled_wall) -> NovelViewSampler:
    kept, fill, cameras = filled_wall
    scene = Scene(kept, fill, torch.ones(len(fill), dtype=torch.bool))
    return NovelViewSampler(
        config, cameras, CENTER, PRIOR, rasterize,
        scene=lambda: scene, progress=lambda _: 0.0, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def test_samples_are_what_the_prior_paints_and_are_shown_again(filled_wall):
    kept, fill, _ = filled_wall
    config = NovelViewsConfig(share=0.5, refresh_every=5, kept=2)
    sampler = sampler_of(config, filled_wall)
    answers = [sampler(step) for step in range(1, 31)]
    shown = [example for example in answers if example is not None]
    assert 8 <= len(shown) <= 22, "about half of the steps look from a novel pose"
    assert 4 <= len({id(example) for example in shown}) <= 6
    assert len(sampler.samples) == 2
    for example in shown:
        inside = example.holes > 0
        assert (example.target[inside.expand_as(example.target)].reshape(3, -1).mean(dim=1) - GREEN).abs().max() < 0.1
        now = rasterize(concatenate([kept, fill]), example.cameras)
        assert torch.equal(example.weight > 0, now.alpha > 0.5)
        outside = (example.holes == 0) & (example.weight > 0)
        assert (example.target - now.color.clamp(0, 1))[outside.expand_as(now.color)].abs().max() < 1e-3


def test_no_share_means_no_samples(filled_wall):
    sampler = sampler_of(NovelViewsConfig(share=0.0), filled_wall)
    assert all(sampler(step) is None for step in range(1, 21))
