"""Starting up stays cheap: what imports nothing heavy cannot be slow."""

import subprocess
import sys

import pytest

HEAVY = {
    "accelerate", "cv2", "diffusers", "gsplat", "huggingface_hub", "kornia", "lpips", "numpy", "open3d", "peft", "pycolmap",
    "rich", "scipy", "torch", "torchvision", "transformers",
}  # fmt: skip


def imported_by(code: str) -> set[str]:
    """The top-level modules that are loaded after the code ran in a fresh interpreter."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('|', *sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in said.rpartition("|")[2].split()}


def test_the_package_imports_nothing_heavy():
    assert not imported_by("import splatpaint") & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["prior", "train", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    loaded = imported_by(f"from splatpaint.cli.app import main; main({arguments})")
    assert "splatpaint" in loaded
    assert not loaded & HEAVY


def test_preparing_a_run_neither_touches_the_gpu_nor_loads_a_diffusion_library():
    code = (
        "import torch, splatpaint.stages.run; from splatpaint.cli.app import main; "
        "sys.modules['initialized' if torch.cuda.is_initialized() else 'untouched'] = sys; main(['config'])"
    )
    loaded = imported_by(code)
    assert "untouched" in loaded
    assert not loaded & {
        "diffusers",
        "transformers",
        "peft",
        "accelerate",
        "open3d",
        "pycolmap",
        "gsplat",
        "lpips",
        "torchvision",
    }
