from dataclasses import replace

import torch

from splatpaint.masks.removal import Hole
from splatpaint.stages.holes import read_holes, write_holes
from tests.support.walls import wall_with_ball


def test_holes_are_read_as_they_were_written(tmp_path):
    views = wall_with_ball(tmp_path, views=2).capture.views
    views = (replace(views[0], name="left/0"), views[1])
    draws = torch.Generator().manual_seed(0)

    def mask() -> torch.Tensor:
        return torch.rand(1, 1, 32, 40, generator=draws) > 0.5

    shade = torch.randint(1, 256, (1, 1, 32, 40), generator=draws).byte()
    holes = [Hole("left/0", mask(), mask(), mask(), shade=shade), Hole(views[1].name, mask(), mask(), mask())]
    write_holes(tmp_path / "remove", holes)
    for was, now in zip(holes, read_holes(tmp_path / "remove", views, torch.device("cpu")), strict=True):
        assert was.name == now.name
        assert torch.equal(was.occluded, now.occluded)
        assert torch.equal(was.unobserved, now.unobserved)
        assert torch.equal(was.support_removed, now.support_removed)
    first, second = read_holes(tmp_path / "remove", views, torch.device("cpu"))
    assert first.shade is not None
    assert torch.equal(first.shade, shade)
    assert second.shade is None
