import pytest
import torch

from splatpaint.priors.canvas import PANELS, Layout, join_panels, split_panels


@pytest.mark.parametrize("layout", PANELS)
def test_splitting_undoes_joining(layout: Layout):
    rows, columns = PANELS[layout]
    panels = [torch.rand(2, 3, 4, 6) for _ in range(rows * columns)]
    canvas = join_panels(panels, layout)
    assert canvas.shape == (2, 3, 4 * rows, 6 * columns)
    assert all(torch.equal(a, b) for a, b in zip(split_panels(canvas, layout), panels, strict=True))


def test_the_reference_of_a_pair_is_on_the_left():
    canvas = join_panels([torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)], "pair")
    assert canvas[0, 0, 0].tolist() == [0, 0, 1, 1]


def test_a_canvas_wants_as_many_panels_as_it_has():
    with pytest.raises(ValueError, match="a grid has 4 panels, 2 are given"):
        join_panels([torch.zeros(1, 1, 2, 2)] * 2, "grid")
