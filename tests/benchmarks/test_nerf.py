import math

import torch

from benchmarks.nerf import NerfConfig, contracted, draw_nerf, fit_nerf
from splatpaint.image.files import read_image
from tests.support.walls import wall_with_ball


def test_contraction_keeps_the_unit_ball_and_brings_infinity_to_radius_two():
    inside = torch.randn(50, 3)
    inside = inside / inside.norm(dim=1, keepdim=True) * torch.rand(50, 1)
    assert torch.equal(contracted(inside), inside)
    far = torch.tensor([[1e6, 0.0, 0.0], [0.0, -1e6, 0.0]])
    torch.testing.assert_close(contracted(far).norm(dim=1), torch.full((2,), 2.0), atol=1e-4, rtol=0)
    line = contracted(torch.linspace(0, 20, 200)[:, None] * torch.tensor([[0.6, 0.0, 0.8]]))
    assert (line.norm(dim=1).diff() > 0).all()


def test_a_few_steps_of_fitting_show_the_scene_and_its_depth(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    config = NerfConfig(steps=200, rays=512, samples=48, resolution=48, far=4.0)
    field = fit_nerf(capture, config, seed=0, device=torch.device("cpu"))
    view = capture.views[0]
    color, depth = draw_nerf(field, view.camera)
    photo = read_image(view.image)[None]
    assert color.shape == photo.shape
    psnr = -10 * math.log10((color - photo).square().mean().item())
    assert psnr > 16, "a gray picture would have about 15"
    assert depth.shape == (1, 1, *photo.shape[2:])
    assert (depth > 0).float().mean() > 0.9
