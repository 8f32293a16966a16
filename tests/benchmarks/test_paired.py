import pytest

from benchmarks.paired import (
    differences_of,
    error_over_seeds,
    paired_by_method,
    paired_table,
    ring_by_shape,
    standard_error,
)

RESULTS = {
    "a-ball": {
        "ours": {
            "0": {"psnr/hole": 20.0, "lpips_alex/hole": 0.1, "psnr/ring": 30.0},
            "1": {"psnr/hole": 24.0},
            "2": {"psnr/hole": 99.0},
        },
        "telea": {
            "0": {"psnr/hole": 20.0, "lpips_alex/hole": 0.3, "psnr/ring": 28.0},
            "1": {"psnr/hole": 22.0},
        },
        "diffusion": {"0": {"psnr/hole": 18.0, "lpips_alex/hole": 0.2}, "1": {"psnr/hole": 18.0}},
    },
    "b-disc-sparse": {
        "ours": {"0": {"psnr/hole": 20.0, "psnr/ring": 26.0}, "1": {"psnr/hole": 22.0}},
        "ours-telea": {"0": {"psnr/hole": 90.0}},
        "photos": {"0": {"psnr/hole": 99.0}},
        "diffusion": {"0": {"psnr/hole": 23.0}, "1": {"psnr/hole": 25.0}},
    },
}


def rows_of(table: list[list[str]]) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table}


def test_ours_is_compared_with_the_best_other_method_of_every_task():
    """Telea in a-ball: 0 and +2 dB; diffusion in b-disc: -3 and -3 dB. A seed that only ours has does not count."""
    mean, over_tasks, over_seeds, better, worst = rows_of(paired_table(RESULTS))["psnr/hole"]
    assert (mean, over_tasks) == ("-1.00", "2.00")
    assert over_seeds == "0.50", "the mean over tasks is -1.5 dB with one seed, and -0.5 dB with the other"
    assert (better, worst) == ("1 of 2", "b-disc-sparse -3.00")


def test_a_lower_distance_is_better():
    assert rows_of(paired_table(RESULTS))["lpips_alex/hole"] == ["-0.100", "-", "-", "1 of 1", "a-ball -0.100"]


def test_metrics_without_a_rival_have_no_row():
    assert len(paired_table({"a-ball": {"ours": {"0": {"psnr/hole": 1.0}}}})) == 1
    assert len(paired_table({"a-ball": {"telea": {"0": {"psnr/hole": 1.0}}}})) == 1


def test_held_out_views_have_rows_of_their_own_where_they_were_judged():
    assert "psnr/hole/held-out" not in rows_of(paired_table(RESULTS))
    held_out = {"a-ball": {name: {"0": {"psnr/hole/held-out": psnr}} for name, psnr in (("ours", 9.0), ("telea", 8.5))}}
    assert rows_of(paired_table(held_out))["psnr/hole/held-out"][0] == "+0.50"


def test_every_other_method_has_its_own_row_variants_of_ours_too():
    head, *rows = paired_by_method(RESULTS)
    column = head.index("psnr/hole")
    cells = {row[0]: (row[1], row[column]) for row in rows}
    assert cells == {
        "telea": ("1", "+1.00 / 1.00"),
        "diffusion": ("2", "+0.50 ± 3.50 / 1.00"),
        "ours-telea": ("1", "-70.00"),
    }


def test_differences_are_of_the_same_seed():
    assert differences_of(RESULTS["a-ball"], "telea", "psnr/hole") == {"0": 0.0, "1": 2.0}
    assert differences_of(RESULTS["a-ball"], "telea", "psnr/ring") == {"0": 2.0}


def test_what_all_tasks_of_a_seed_have_in_common_is_no_error_over_tasks_but_one_over_seeds():
    common = {"a": {"0": 1.0, "1": 3.0}, "b": {"0": 1.0, "1": 3.0}}
    assert error_over_seeds(common) == pytest.approx(1.0)
    opposite = {"a": {"0": 1.0, "1": 3.0}, "b": {"0": 3.0, "1": 1.0}}
    assert error_over_seeds(opposite) == 0.0
    assert error_over_seeds({"a": {"0": 1.0, "1": 3.0}, "b": {"1": 2.0}}) is None, "one seed is in both"
    assert standard_error([1.0]) is None


def test_rings_are_averaged_by_shape():
    head, ours, telea, *_ = ring_by_shape(RESULTS, ["ball", "disc", "box"])
    assert head[1:] == ["ball", "disc", "box"]
    assert ours == ["ours", "30.00", "26.00", "-"]
    assert telea == ["telea", "28.00", "-", "-"]
