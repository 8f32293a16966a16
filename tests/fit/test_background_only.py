import torch

from splatpaint.fit.background_only import BackgroundOnlySteps
from tests.support.scenes import cloud


def test_every_other_step_of_the_last_part_renders_the_background_alone():
    steps = BackgroundOnlySteps(lambda splats: torch.zeros(len(splats), dtype=torch.bool), begin=4)
    assert [step for step in range(1, 11) if steps.includes(step)] == [5, 7, 9]


def test_the_object_is_selected_once_and_remembered():
    asked = []

    def select(splats):
        asked.append(splats)
        return torch.arange(len(splats)) < 2

    steps, again = BackgroundOnlySteps(select, begin=0), BackgroundOnlySteps(select, begin=0)
    splats = cloud(5)
    selected = steps.object(splats)
    assert torch.equal(steps.object(splats), selected)
    again.restore(steps.state())
    assert torch.equal(again.object(splats), selected)
    assert len(asked) == 1
