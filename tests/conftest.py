"""Shapes and types in annotations are checked at run time under pytest."""

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

# Tests fetch nothing: neither models from a hub nor the trunks of LPIPS.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SPLATPAINT_WEIGHTS", os.devnull)
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker for every core already; threads of their own would only wait for each other.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before anything imports the package: test modules do so only after this file has run.
install_import_hook("splatpaint", "beartype.beartype")

SHARED_CAPTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "captures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def real_capture():
    """A function from the name of a real capture to its folder; skips where the captures are not at hand."""

    def find(name: str) -> Path:
        folder = SHARED_CAPTURES / name
        if not folder.is_dir():
            pytest.skip(f"the real capture {name!r} is not on this machine")
        return folder

    return find
