from dataclasses import replace

import torch

from splatpaint.events import Measured
from splatpaint.render.reference import rasterize
from splatpaint.stages.reconstruct import ReconstructConfig, reconstruct, view_of_step
from tests.support.walls import wall_with_ball

CPU = torch.device("cpu")


def test_every_epoch_sees_every_view_once_in_an_order_of_its_own():
    epochs = [[view_of_step(epoch * 7 + place, 7, seed=3) for place in range(1, 8)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert [view_of_step(step, 7, seed=3) for step in range(1, 8)] == epochs[0]


def test_held_out_views_get_better_with_training(tmp_path):
    capture = wall_with_ball(tmp_path).capture
    capture = replace(capture, views=capture.views[1:], held_out=capture.views[:1])

    def score(steps: int) -> float:
        events = reconstruct(capture, rasterize, ReconstructConfig(steps=steps, sh_degree=0), device=CPU, seed=0)
        (measured,) = [event for event in events if isinstance(event, Measured)]
        return measured.values["held_out_psnr"]

    before, after = score(1), score(60)
    assert after > before + 2
    assert after > 20
