import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.capture_writer import Frame, write_capture
from splatpaint.events import Noted, drain
from splatpaint.fill.config import FillConfig
from splatpaint.image.files import read_image, read_mask
from splatpaint.priors.customize import CustomizeConfig
from splatpaint.priors.load import PriorConfig
from splatpaint.render.native import rasterize
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import Capture
from splatpaint.stages.config import RunConfig
from splatpaint.stages.contradicting_views import (
    find_contradicting,
    listed_views,
    read_contradicting,
    without_views,
    write_contradicting,
)
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.holes import KINDS
from splatpaint.stages.reconstruct import ReconstructConfig, reconstruct
from splatpaint.stages.run import run
from tests.support.diffusion import save_toy_prior
from tests.support.symmetric import capture_of_can, merged

CPU = torch.device("cpu")
WRONG = ("0005", "0006", "0007", "0008", "0009")
ORDER = [f"{number:04d}" for number in range(100)]


def test_successive_names_are_listed_as_ranges():
    assert listed_views(ORDER[41:48], ORDER) == "0041-0047"
    assert listed_views([*ORDER[41:48], "0052", *ORDER[60:62]], ORDER) == "0041-0047, 0052, 0060, 0061"
    assert listed_views(["0004"], ORDER) == "0004"
    without_every_other = ORDER[::2]
    assert listed_views(["0040", "0042", "0044"], without_every_other) == "0040-0044", "held-out views are between them"


def test_names_of_different_series_are_no_range():
    order = ["left/1", "left/2", "left/3", "right/1", "right/2", "right/3", "a", "b", "c"]
    assert listed_views(order[1:6], order) == "left/2, left/3, right/1-right/3"
    assert listed_views(order[6:], order) == "a, b, c"


def test_long_lists_end_in_a_count_of_views():
    assert listed_views(ORDER[::5], ORDER) == ", ".join(ORDER[:50:5]) + " and 10 more"
    assert listed_views([*ORDER[0:40:4], *ORDER[50:60]], ORDER) == ", ".join(ORDER[0:40:4]) + " and 10 more"


def test_names_are_kept(tmp_path: Path):
    assert read_contradicting(tmp_path) == ()
    write_contradicting(tmp_path, ["left/0", "1"])
    assert read_contradicting(tmp_path) == ("left/0", "1")


def test_held_out_views_stay(tmp_path: Path):
    capture = capture_of_can(tmp_path, views=4, size=(16, 12), points=40)
    capture = replace(capture, views=capture.views[1:], held_out=capture.views[:1])
    assert without_views(capture, ()) is capture
    fewer = without_views(capture, {"0000", "0002"})
    assert [view.name for view in fewer.views] == ["0001", "0003"]
    assert fewer.held_out == capture.held_out


def on_disk(capture: Capture, folder: Path) -> Path:
    """The capture as a user would have it."""
    frames = [
        Frame(view.name, view.camera, read_image(view.image), read_mask(view.fill_mask))
        for view in capture.views
        if view.fill_mask
    ]
    assert capture.points is not None
    write_capture(folder, frames, capture.points)
    return folder


def test_names_without_leading_zeros_are_in_the_order_of_their_numbers(tmp_path: Path):
    capture = capture_of_can(tmp_path, size=(32, 24))
    capture = replace(capture, views=tuple(replace(view, name=f"{int(view.name)}") for view in capture.views))
    capture = merged(replace(capture, views=tuple(sorted(capture.views, key=lambda view: view.name))), {"8", "9", "10"})
    config = ReconstructConfig(steps=100, sh_degree=0)
    photos = Photos(capture.views, CPU)
    splats = drain(reconstruct(capture, photos, rasterize, config, seed=0)).splats
    assert capture.points is not None
    (said,) = list(find_contradicting(splats, photos, capture.points.positions, rasterize, stage="reconstruct"))
    assert isinstance(said, Noted)
    assert "the poses of 3 views contradict the others: 8-10 (" in said.message


@pytest.mark.slow
def test_a_run_names_views_with_contradicting_poses_once_and_neither_removes_nor_paints_nor_seeds_by_them(tmp_path: Path):
    capture = on_disk(merged(capture_of_can(tmp_path / "can"), set(WRONG)), tmp_path / "capture")
    config = RunConfig(
        rasterizer="native",
        device="cpu",
        reconstruct=ReconstructConfig(steps=150, sh_degree=0),
        prior=PriorConfig(name=str(save_toy_prior(tmp_path / "prior", "bundled"))),
        customize=CustomizeConfig(steps=0),
        inpaint=FillConfig(rounds=1, steps=4, denoise_steps=1),
    )
    said = []
    for _ in range(2):
        with RunFolder.open(tmp_path / "run", capture, config, files=[], resume=True) as folder:
            events = list(run(capture, folder, config))
        said.append([event.message for event in events if isinstance(event, Noted) and "contradict" in event.message])
    (sentence,), again = said
    assert sentence.startswith("the poses of 5 views contradict the others: 0005-0009 (")
    assert again == []
    assert json.loads((tmp_path / "run/reconstruct/contradicting_views.json").read_text()) == list(WRONG)
    for kind in KINDS:
        known = {file.stem for file in (tmp_path / "run/remove" / kind).iterdir()}
        assert len(known) == 19
        assert not known & set(WRONG)
    assert {file.stem for file in (tmp_path / "run/pictures").iterdir()} >= set(WRONG), "strips show what is wrong"
