from dataclasses import replace
from math import pi

import pytest
import torch
from numpy.polynomial.legendre import leggauss
from torch.nn.functional import normalize

from splatpaint.scene.harmonics import colors_seen_from, sh_basis
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import SH_C0
from tests.support.rotations import rotate_sh
from tests.support.scenes import cloud, splat_at


def directions(count: int) -> torch.Tensor:
    return normalize(torch.randn(count, 3, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_basis_is_orthonormal_on_the_sphere(degree: int):
    # Gauss-Legendre in z times equal angles integrates polynomials of degree 6 exactly.
    z, weights = (torch.from_numpy(a) for a in leggauss(8))
    angle = torch.arange(16, dtype=torch.float64) * (2 * pi / 16)
    radius = (1 - z * z).sqrt()[:, None]
    points = torch.stack([radius * angle.cos(), radius * angle.sin(), z[:, None].expand(8, 16)], dim=-1)
    basis = sh_basis(points, degree)
    gram = torch.einsum("z,zak,zal->kl", weights * 2 * pi / 16, basis, basis)
    torch.testing.assert_close(gram, torch.eye((degree + 1) ** 2, dtype=torch.float64))


def test_signs_and_order_are_those_of_gaussian_splatting():
    from gsplat.cuda._torch_impl import _eval_sh_bases_fast

    points = directions(100)
    torch.testing.assert_close(sh_basis(points, 3), _eval_sh_bases_fast(16, points))


def test_a_degree_beyond_three_is_refused():
    with pytest.raises(ValueError, match="degree 4"):
        sh_basis(directions(1), 4)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_rotated_harmonics_have_at_rotated_directions_what_they_had(degree: int):
    sh = torch.randn(7, (degree + 1) ** 2, 3, dtype=torch.float64)
    rotation = matrices_from_quats(torch.randn(4, dtype=torch.float64))
    points = directions(50)
    before = torch.einsum("dk,nkc->dnc", sh_basis(points, degree), sh)
    after = torch.einsum("dk,nkc->dnc", sh_basis(points @ rotation.T, degree), rotate_sh(sh, rotation))
    torch.testing.assert_close(after, before)


def test_rotating_there_and_back_changes_nothing():
    sh, rotation = torch.randn(4, 16, 3), matrices_from_quats(torch.randn(4))
    torch.testing.assert_close(rotate_sh(rotate_sh(sh, rotation), rotation.T), sh, atol=1e-5, rtol=1e-5)


def test_a_color_without_direction_is_the_same_from_everywhere():
    splats = splat_at((0.0, 0.0, 1.0), (2.0, 0.0, 0.0), color=(0.9, 0.5, 0.1))
    seen = colors_seen_from(splats, torch.randn(5, 3))
    torch.testing.assert_close(seen, torch.tensor([0.9, 0.5, 0.1]).expand(5, 2, 3))
    padded = colors_seen_from(splats.with_sh_degree(2), torch.randn(5, 3))
    torch.testing.assert_close(padded, seen)


def test_the_first_degree_brightens_towards_its_axis():
    sh = torch.zeros(1, 4, 3)
    sh[0, 2] = 1.0  # the z term
    splats = replace(splat_at((0.0, 0.0, 0.0)), sh=sh)
    along, against = colors_seen_from(splats, torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.0, 3.0]]))
    slope = (3 / (4 * pi)) ** 0.5
    torch.testing.assert_close(along, torch.full((1, 3), 0.5 + slope))
    torch.testing.assert_close(against, torch.full((1, 3), 0.5 - slope))


def test_latents_are_the_plain_sum():
    splats = cloud(5, channels=4)
    torch.testing.assert_close(colors_seen_from(splats, torch.zeros(2, 3))[1], SH_C0 * splats.sh[:, 0])
