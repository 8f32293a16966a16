from pathlib import Path

from benchmarks.inpaint import PHASES, after_reconstruction, measured, median, table
from tests.support.diffusion import save_toy_prior


def phases(**seconds: float) -> dict[str, dict[str, float]]:
    return {phase: {"seconds": value, "peak_memory_mb": 100 * value} for phase, value in seconds.items()}


def test_recipes_that_reconstruct_alike_share_the_reconstruction(task: Path, tmp_path: Path):
    prior = save_toy_prior(tmp_path / "prior", "bundled")
    quick = [f"prior.name={prior}", "reconstruct.steps=20", "inpaint.steps=3", "inpaint.views=2", "inpaint.denoise_steps=1"]
    found = [measured(task, recipe, quick, tmp_path, 0) for recipe in ("defaults", "remove_fast")]
    assert found[0]["reconstruct"] == found[1]["reconstruct"]
    assert found[0]["capture"] == found[1]["capture"]
    assert all(each["inpaint"]["seconds"] > 0 for each in found)
    assert all(set(each) == set(PHASES) - {"customize"} for each in found)


def test_the_table_has_medians_and_what_comes_after_the_reconstruction():
    runs = [phases(capture=1.0, locate=5.0, reconstruct=10.0, remove=2.0, inpaint=last) for last in (3.0, 9.0, 4.0)]
    middle = median(runs)
    assert middle["inpaint"]["seconds"] == 4.0
    assert after_reconstruction(middle) == 6.0
    assert table({"defaults": middle})[1] == ["defaults", "1.0", "5.0", "10.0", "2.0", "-", "4.0", "6.0", "1000"]
