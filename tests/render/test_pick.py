import sys
from importlib.machinery import BuiltinImporter

import pytest
import torch

from splatpaint.errors import BackendError
from splatpaint.render import reference
from splatpaint.render.pick import pick_rasterizer


def test_the_reference_works_on_any_device():
    assert pick_rasterizer("reference", "cpu") is reference.rasterize
    assert pick_rasterizer("reference", torch.device("cuda", 1)) is reference.rasterize


def test_auto_on_the_cpu_is_the_native_rasterizer():
    assert pick_rasterizer("auto", "cpu") is pick_rasterizer("native", "cpu")
    assert pick_rasterizer("auto", "cpu") is not reference.rasterize


@pytest.mark.parametrize("name", ["auto", "native"])
def test_missing_kernels_are_said(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "meta_path", [BuiltinImporter])  # nothing on the disk can be found
    monkeypatch.delitem(sys.modules, "splatpaint._kernels", raising=False)
    with pytest.raises(BackendError, match=r"run `pip install \.` in its source folder"):
        pick_rasterizer(name, "cpu")


@pytest.mark.gpu
def test_auto_on_a_gpu_is_the_cuda_rasterizer():
    assert pick_rasterizer("auto", "cuda") is pick_rasterizer("cuda", "cuda:0")


def test_a_rasterizer_on_the_wrong_device_is_refused_not_replaced():
    with pytest.raises(BackendError, match="native rasterizer works on the cpu, not on cuda"):
        pick_rasterizer("native", "cuda")
    with pytest.raises(BackendError, match="cuda rasterizer works on cuda devices, not on cpu"):
        pick_rasterizer("cuda", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_missing_gpu_is_said(name: str):
    with pytest.raises(BackendError, match="needs an NVIDIA GPU, and torch sees none here"):
        pick_rasterizer(name, "cuda")
