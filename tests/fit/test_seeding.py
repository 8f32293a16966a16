import torch

from splatpaint.fit.seeding import round_splats, spacing
from splatpaint.scene.splats import SH_C0


def test_a_lattice_is_spaced_by_its_step():
    lattice = torch.stack(torch.meshgrid(*[torch.arange(4.0)] * 3, indexing="ij"), dim=-1).reshape(-1, 3) * 0.25
    torch.testing.assert_close(spacing(lattice), torch.full((64,), 0.25))


def test_two_points_are_spaced_by_their_distance():
    torch.testing.assert_close(spacing(torch.tensor([[0.0, 0, 0], [0, 3.0, 4.0]])), torch.tensor([5.0, 5.0]))


def test_round_splats_have_the_color_size_and_opacity_asked_for():
    colors = torch.rand(3, 3)
    splats = round_splats(torch.randn(3, 3), colors, torch.tensor([0.1, 0.2, 0.3]), opacity=0.9, sh_degree=2)
    torch.testing.assert_close(0.5 + SH_C0 * splats.sh[:, 0], colors)
    assert splats.sh[:, 1:].abs().max() == 0
    torch.testing.assert_close(splats.scales, torch.tensor([0.1, 0.2, 0.3])[:, None].expand(3, 3))
    torch.testing.assert_close(splats.opacities, torch.full((3,), 0.9))
