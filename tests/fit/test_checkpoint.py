import pytest
import torch

from splatpaint.errors import RunError
from splatpaint.fit.checkpoint import load_checkpoint, save_checkpoint
from tests.support.disk import files_of_at_most

CPU = torch.device("cpu")


def test_what_is_saved_comes_back_with_the_random_stream(tmp_path):
    path = tmp_path / "folder" / "state.pt"
    save_checkpoint(path, {"step": 3, "tensors": {"a": torch.arange(4)}})
    expected = torch.rand(5)
    state = load_checkpoint(path, CPU)
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["tensors"]["a"], torch.arange(4))
    assert torch.equal(torch.rand(5), expected)


def test_on_a_full_disk_the_last_state_stays(tmp_path):
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"step": 3})
    with files_of_at_most(4096), pytest.raises(OSError, match="File too large"):
        save_checkpoint(path, {"step": 4, "tensors": {"a": torch.zeros(10_000)}})
    state = load_checkpoint(path, CPU)
    assert state is not None
    assert state["step"] == 3


def test_no_file_means_no_state(tmp_path):
    assert load_checkpoint(tmp_path / "absent.pt", CPU) is None


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "state.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match="delete it"):
        load_checkpoint(path, CPU)
