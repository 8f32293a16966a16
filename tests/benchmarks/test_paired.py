from benchmarks.paired import paired_table, ring_by_shape

RESULTS = {
    "a-ball": {
        "ours": {"0": {"psnr/hole": 20.0, "lpips_alex/hole": 0.1, "psnr/ring": 30.0}, "1": {"psnr/hole": 22.0}},
        "telea": {"0": {"psnr/hole": 20.0, "lpips_alex/hole": 0.3, "psnr/ring": 28.0}},
        "diffusion": {"0": {"psnr/hole": 18.0, "lpips_alex/hole": 0.2}},
    },
    "b-disc-sparse": {
        "ours": {"0": {"psnr/hole": 20.0, "psnr/ring": 26.0}},
        "ours-telea": {"0": {"psnr/hole": 90.0}},
        "photos": {"0": {"psnr/hole": 99.0}},
        "diffusion": {"0": {"psnr/hole": 23.0}},
    },
}


def test_ours_is_compared_with_the_best_other_method_of_every_task():
    rows = {row[0]: row[1:] for row in paired_table(RESULTS)}
    assert rows["psnr/hole"] == ["-1.00", "2.00", "1 of 2", "b-disc-sparse -3.00"]


def test_a_lower_distance_is_better():
    rows = {row[0]: row[1:] for row in paired_table(RESULTS)}
    assert rows["lpips_alex/hole"] == ["-0.100", "-", "1 of 1", "a-ball -0.100"]


def test_metrics_without_a_rival_have_no_row():
    assert len(paired_table({"a-ball": {"ours": {"0": {"psnr/hole": 1.0}}}})) == 1


def test_rings_are_averaged_by_shape():
    head, ours, telea, *_ = ring_by_shape(RESULTS, ["ball", "disc", "box"])
    assert head[1:] == ["ball", "disc", "box"]
    assert ours == ["ours", "30.00", "26.00", "-"]
    assert telea == ["telea", "28.00", "-", "-"]
