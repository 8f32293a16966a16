from dataclasses import replace
from pathlib import Path

from benchmarks.drift import drift
from benchmarks.inpaint import measured
from splatpaint.formats import read_splats, write_splats
from splatpaint.scene.splats import concatenate
from splatpaint.stages.folder import RunFolder
from tests.support.diffusion import save_toy_prior


def test_changes_by_boundary_and_fill_are_separated(task: Path, tmp_path: Path):
    prior = save_toy_prior(tmp_path / "prior", "bundled")
    quick = [f"prior.name={prior}", "reconstruct.steps=20", "inpaint.steps=3", "inpaint.views=2", "inpaint.denoise_steps=1"]
    measured(task, "defaults", quick, tmp_path, 0)
    run = tmp_path / "defaults-0"
    folder = RunFolder.read(run)
    kept = read_splats(folder.product("remove"))
    assert drift(run)["all, % changed"] == 0, "after so few steps there is no hole to fill"

    fill = replace(kept, sh=kept.sh - 1)
    folder.record("inpaint", {"fill": float(len(fill))})

    write_splats(folder.splats("inpaint"), concatenate([kept, fill]))
    found = drift(run)
    assert found["rim, mean of 255"] == found["rim, % changed"] == 0, "every kept splat is as it was"
    assert found["all, mean of 255"] == found["fill, mean of 255"] > 0

    brighter = replace(kept, sh=kept.sh + 1)
    write_splats(folder.splats("inpaint"), concatenate([brighter, fill]))
    found = drift(run)
    assert found["rim, % changed"] > 50
    assert found["all, % changed"] > 50
