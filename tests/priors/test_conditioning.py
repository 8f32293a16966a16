import pytest
import torch

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.priors.canvas import join_panels, split_panels
from splatpaint.priors.conditioning import fill_holes, summary_token


def picture_with_hole(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    holes = torch.zeros(1, 1, 16, 16)
    holes[..., 4:12, :9] = 1  # reaches the border where the panels of a pair meet
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)), holes


def test_panels_of_a_canvas_are_filled_separately():
    reference, (target, hole) = torch.ones(1, 3, 16, 16), picture_with_hole(0)
    canvas = join_panels([reference, target], "pair"), join_panels([torch.zeros_like(hole), hole], "pair")
    filled = split_panels(fill_holes(*canvas, "harmonic", "pair"), "pair")
    assert torch.equal(filled[0], reference)
    torch.testing.assert_close(filled[1], harmonic_fill(target, hole))


def test_a_panel_of_which_nothing_is_known_has_the_average_color_of_the_others():
    reference, target = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    holes = join_panels([torch.zeros(2, 1, 16, 16), torch.ones(2, 1, 16, 16)], "pair")
    filled = split_panels(fill_holes(join_panels([reference, target], "pair"), holes, "harmonic", "pair"), "pair")
    torch.testing.assert_close(filled[1], reference.mean(dim=(2, 3), keepdim=True).expand_as(target))


def test_a_picture_of_which_nothing_is_known_is_gray():
    assert (fill_holes(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8), "harmonic") == 0.5).all()


def test_the_summary_says_the_layout_and_describes_known_cells_only():
    given = torch.randn(2, 5, 8, 8)
    given[:, :1] = 0
    given[:, :1, :2] = 1
    token = summary_token(given, "pair", 16)
    assert token.shape == (2, 1, 16)
    known = given[:, 1:, 2:]
    assert token[:, 0, :3].tolist() == [[0, 1, 0]] * 2
    torch.testing.assert_close(token[:, 0, 3], torch.tensor([0.25, 0.25]))
    torch.testing.assert_close(token[:, 0, 4:8], known.mean(dim=(2, 3)))
    torch.testing.assert_close(token[:, 0, 8:12], known.std(dim=(2, 3), correction=0))
    assert (token[:, 0, 12:] == 0).all()
    given[:, 1:, :2] = 99.0
    assert torch.equal(summary_token(given, "pair", 16), token)


def test_a_token_too_narrow_for_the_summary_is_refused():
    with pytest.raises(ValueError, match="12 numbers, but cross-attention is 8 wide"):
        summary_token(torch.zeros(1, 5, 4, 4), "single", 8)
