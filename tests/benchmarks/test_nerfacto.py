from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.nerfacto import NerfactoError, fit_nerfacto, prepared
from splatpaint.image.files import write_image


def test_what_cannot_be_installed_is_said(tmp_path: Path):
    broken = tmp_path / "environment"
    broken.write_text("a file where the environment should go")
    with pytest.raises(NerfactoError, match="no virtual environment can be made"):
        prepared(broken)


def test_a_failing_worker_gives_its_reason(tmp_path: Path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 'ImportError: no nerfstudio here' >&2\nexit 1\n")
    python.chmod(0o755)
    (tmp_path / ".complete").touch()
    with pytest.raises(NerfactoError, match="does not work here: ImportError: no nerfstudio here"):
        fit_nerfacto(tmp_path, tmp_path / "poses.json", tmp_path / "out", names=["a"], seconds=1, seed=0, environment=tmp_path)


def test_what_has_been_drawn_is_read_not_fitted_again(tmp_path: Path):
    image = torch.linspace(0, 1, 3 * 4 * 5).reshape(3, 4, 5)
    write_image(tmp_path / "a" / "b.png", image)
    np.save(tmp_path / "a" / "b.npy", np.full((4, 5), 2.0, dtype=np.float32))
    (tmp_path / "fitted.json").write_text('{"steps": 12, "seconds": 3.5}')
    fitted = fit_nerfacto(tmp_path, tmp_path, tmp_path, names=["a/b"], seconds=3, seed=0, environment=tmp_path / "none")
    assert (fitted.steps, fitted.seconds) == (12, 3.5)
    torch.testing.assert_close(fitted.color("a/b"), image[None], atol=1 / 255, rtol=0)
    assert torch.equal(fitted.depth("a/b"), torch.full((1, 1, 4, 5), 2.0))
