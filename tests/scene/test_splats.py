from dataclasses import replace

import pytest
import torch

from splatpaint.scene.splats import concatenate
from tests.support.scenes import cloud, splat_at


def test_activated_values_are_the_inverse_of_what_was_put_in():
    splats = splat_at((0.0, 0.0, 1.0), scale=0.25, opacity=0.3)
    torch.testing.assert_close(splats.opacities, torch.tensor([0.3]))
    torch.testing.assert_close(splats.scales, torch.full((1, 3), 0.25))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_degree_follows_from_the_number_of_terms(degree: int):
    assert cloud(2, degree=degree).sh_degree == degree


def test_indexing_takes_the_same_rows_of_everything():
    splats = cloud(6, degree=1)
    mask = torch.tensor([True, False, True, False, False, True])
    for chosen in (splats[mask], splats[torch.tensor([0, 2, 5])]):
        for name, tensor in chosen.tensors().items():
            assert torch.equal(tensor, splats.tensors()[name][[0, 2, 5]])
    assert len(splats[1:4]) == 3


def test_raising_the_degree_pads_with_zeros_and_lowering_it_undoes_that():
    splats = cloud(4, degree=1)
    raised = splats.with_sh_degree(3)
    assert not raised.sh[:, 4:].any()
    assert torch.equal(raised.with_sh_degree(1).sh, splats.sh)
    assert torch.equal(splats.with_sh_degree(0).sh, splats.sh[:, :1])


def test_concatenation_keeps_order_and_the_highest_degree():
    a, b = cloud(2, degree=0), cloud(3, degree=2, seed=1)
    both = concatenate([a, b])
    assert (len(both), both.sh_degree) == (5, 2)
    assert torch.equal(both[:2].means, a.means)
    assert torch.equal(both[:2].with_sh_degree(0).sh, a.sh)
    assert torch.equal(both[2:].sh, b.sh)


def test_concatenated_parts_keep_their_gradients():
    frozen, trained = cloud(2), cloud(3, seed=1)
    trained.means.requires_grad_()
    concatenate([frozen, trained]).means.sum().backward()
    assert trained.means.grad is not None
    assert torch.equal(trained.means.grad, torch.ones(3, 3))


def test_what_cannot_be_concatenated_is_refused():
    with pytest.raises(ValueError, match="no splats"):
        concatenate([])
    with pytest.raises(ValueError, match="different color spaces"):
        concatenate([cloud(1), cloud(1, channels=4)])


def test_a_number_of_terms_between_two_degrees_is_refused():
    with pytest.raises(ValueError, match=r"sh has shape \(3, 5, 3\)"):
        replace(cloud(3), sh=torch.zeros(3, 5, 3))


def test_detaching_and_converting_touch_every_tensor():
    splats = cloud(2, channels=4)
    splats.sh.requires_grad_()
    double = splats.detach().to(torch.float64)
    assert all(tensor.dtype == torch.float64 and not tensor.requires_grad for tensor in double.tensors().values())
    assert double.space == "latent"
