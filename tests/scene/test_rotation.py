import torch

from splatpaint.scene.rotation import matrices_from_quats, quats_from_matrices


def test_matrices_are_rotations_whatever_the_length_of_the_quaternion():
    quats = torch.randn(50, 4, dtype=torch.float64)
    matrices = matrices_from_quats(quats)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(matrices_from_quats(-3 * quats), matrices)


def test_a_quarter_turn_about_z_takes_x_to_y():
    half = torch.tensor(0.5).sqrt()
    turned = matrices_from_quats(torch.stack([half, half * 0, half * 0, half])) @ torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 0.0]))


def test_quaternions_survive_the_way_through_matrices():
    quats = torch.nn.functional.normalize(torch.randn(5, 7, 4, dtype=torch.float64), dim=-1)
    back = quats_from_matrices(matrices_from_quats(quats))
    torch.testing.assert_close(back * (back * quats).sum(-1, keepdim=True).sign(), quats)


def test_half_turns_have_quaternions_too():
    # w is 0 here, where the textbook formula divides by it.
    for axis in (*torch.eye(3, dtype=torch.float64), torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)):
        matrix = 2 * torch.outer(axis, axis) - torch.eye(3, dtype=torch.float64)
        quat = quats_from_matrices(matrix)
        torch.testing.assert_close(quat.norm(), torch.ones((), dtype=torch.float64))
        torch.testing.assert_close(matrices_from_quats(quat), matrix)


def test_rotations_have_the_gradient_of_finite_differences():
    quats = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrices_from_quats, quats)
    assert torch.autograd.gradcheck(lambda q: quats_from_matrices(matrices_from_quats(q)), quats)
