import torch

from splatpaint.fit.background_only import BackgroundOnlySteps
from tests.support.scenes import cloud


def test_every_other_step_of_the_last_part_looks_at_the_scene_alone():
    apart = BackgroundOnlySteps(lambda splats: torch.zeros(len(splats), dtype=torch.bool), begin=4)
    assert [step for step in range(1, 11) if apart.alone(step)] == [5, 7, 9]


def test_the_object_is_told_once_and_remembered():
    asked = []

    def tell(splats):
        asked.append(splats)
        return torch.arange(len(splats)) < 2

    apart, again = BackgroundOnlySteps(tell, begin=0), BackgroundOnlySteps(tell, begin=0)
    splats = cloud(5)
    told = apart.object(splats)
    assert torch.equal(apart.object(splats), told)
    again.restore(apart.state())
    assert torch.equal(again.object(splats), told)
    assert len(asked) == 1
