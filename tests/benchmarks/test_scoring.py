import json
import platform
from pathlib import Path

import torch

from benchmarks.measure import environment, write_json
from benchmarks.scoring import largest_holes, pairs, score_table, text_table, write_strips
from splatpaint.evaluation import Scorecard
from splatpaint.image.files import read_image, write_image, write_mask


def test_pictures_are_paired_by_name(tmp_path: Path):
    for name, level in (("a/x", 0.0), ("b", 1.0)):
        for kind in ("renders", "truths"):
            write_image(tmp_path / kind / f"{name}.png", torch.full((3, 4, 5), level))
        write_mask(tmp_path / "holes" / f"{name}.png", torch.ones(1, 4, 5))
    found = list(pairs(tmp_path / "renders", tmp_path / "truths", tmp_path / "holes"))
    assert [pair.name for pair in found] == ["a/x", "b"]
    assert all(torch.equal(pair.render, pair.truth) for pair in found)


def test_the_largest_hole_of_each_part_is_chosen(tmp_path: Path):
    for name, width in zip("abcdef", (1, 3, 2, 5, 4, 6), strict=True):
        mask = torch.zeros(1, 8, 8)
        mask[..., :width] = 1
        write_mask(tmp_path / f"{name}.png", mask)
    assert largest_holes(tmp_path, 2, among="abcdef") == ["b", "f"]
    assert largest_holes(tmp_path, 3, among="abcdef") == ["b", "d", "f"]
    assert largest_holes(tmp_path, 1, among="abc") == ["b"]


def test_strips_have_a_row_a_view_and_a_column_a_folder(tmp_path: Path):
    for folder in "xyz":
        for name in "ab":
            write_image(tmp_path / folder / f"{name}.png", torch.rand(3, 4, 6))
    write_strips(tmp_path / "strips.png", [tmp_path / folder for folder in "xyz"], ["b", "a"])
    strips = read_image(tmp_path / "strips.png")
    assert strips.shape == (3, 8, 18)
    assert torch.equal(strips[:, :4, 6:12], read_image(tmp_path / "y" / "b.png"))


def test_a_text_table_is_aligned():
    assert text_table([["method", "psnr"], ["a", "9.1"], ["bc", "10.12"]]) == "method   psnr\na         9.1\nbc      10.12"


def test_a_record_names_the_machine_but_neither_host_nor_paths(tmp_path: Path):
    write_json(tmp_path / "new" / "result.json", {"environment": environment()})
    text = (tmp_path / "new" / "result.json").read_text()
    assert json.loads(text)["environment"]["cores"] >= 1
    assert platform.node() not in text or platform.node() == ""
    assert str(Path.home()) not in text


def test_a_table_has_a_row_a_method_and_dashes_where_nothing_was_measured():
    cards = {"ours": Scorecard({"a": {"psnr/hole": 20.0, "ssim/hole": 0.5}}), "none": Scorecard({"a": {"psnr/hole": 9.876}})}
    assert score_table(cards, ["psnr/hole", "ssim/hole"]) == [
        ["method", "psnr/hole", "ssim/hole"],
        ["ours", "20.00", "0.500"],
        ["none", "9.88", "-"],
    ]
