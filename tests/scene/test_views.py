from pathlib import Path

import torch

from splatpaint.scene.views import Capture, Similarity, View, spread
from tests.support.scenes import one_camera


def test_undoing_a_similarity_gives_the_input_back():
    similarity = Similarity(scale=2.5, shift=(1.0, -2.0, 0.5))
    points = torch.randn(10, 3)
    torch.testing.assert_close(similarity.undo(similarity.apply(points)), points)
    torch.testing.assert_close(similarity.apply(torch.ones(1, 3)), torch.tensor([[3.5, 0.5, 3.0]]))


def test_the_default_similarity_changes_nothing():
    points = torch.randn(4, 3)
    assert torch.equal(Similarity().apply(points), points)


def test_all_views_are_in_the_order_of_their_names():
    a, b, c = (View(name=name, camera=one_camera(), image=Path(f"{name}.png")) for name in "abc")
    capture = Capture(views=(c, a), held_out=(b,), points=None, world_from_input=Similarity())
    assert [view.name for view in capture.all_views] == ["a", "b", "c"]


def test_a_spread_includes_both_ends_and_repeats_nothing():
    assert spread(list(range(100)), 3) == [0, 50, 99]
    assert spread(list(range(8)), 6)[0] == 0
    assert spread(list(range(8)), 6)[-1] == 7
    assert len(set(spread(list(range(8)), 6))) == 6
    assert spread([1, 2], 6) == [1, 2]
