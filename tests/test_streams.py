import pytest
import torch

from splatpaint.streams import generator, stream_seed


def test_a_place_in_a_run_has_one_stream():
    one, again = (torch.rand(4, generator=generator(3, round=1, view=7)) for _ in range(2))
    assert torch.equal(one, again)


def test_other_places_have_other_streams():
    seeds = {stream_seed(seed, round=round_, view=view) for seed in range(5) for round_ in range(9) for view in range(999)}
    assert len(seeds) == 5 * 9 * 999


def test_a_place_without_a_name_is_no_place():
    with pytest.raises(KeyError, match="turn"):
        stream_seed(0, turn=1)
