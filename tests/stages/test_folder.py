import errno
import fcntl
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from splatpaint.errors import CaptureError, RunError
from splatpaint.events import Events, Measured, Noted, Progressed, Saved, drain
from splatpaint.stages.folder import RunFolder, fingerprint


@dataclass(frozen=True)
class Inner:
    steps: int = 10


@dataclass(frozen=True)
class Outer:
    seed: int = 0
    inner: Inner = field(default_factory=Inner)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    folder = tmp_path / "capture"
    (folder / "images").mkdir(parents=True)
    (folder / "transforms.json").write_text("{}")
    (folder / "images" / "a.png").write_bytes(b"a")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one"


def opened(out: Path, capture: Path, config: Outer, *, resume: bool = False) -> RunFolder:
    return RunFolder.open(out, capture, config, files=files_of(capture), resume=resume)


def files_of(capture: Path) -> list[Path]:
    return [file for name in ("transforms.json", "images/*") for file in capture.glob(name)]


def begin(out: Path, capture: Path, config: Outer) -> None:
    """Leaves a run whose first stage was interrupted."""
    with opened(out, capture, config) as folder:
        folder.stage("reconstruct")


def finish(out: Path, capture: Path, config: Outer) -> None:
    with opened(out, capture, config) as folder:
        folder.stage("inpaint")
        folder.splats("inpaint").write_bytes(b"splats")


def lines(folder: RunFolder) -> list[dict]:
    return [json.loads(line) for line in (folder.path / "events.jsonl").read_text().splitlines()]


def test_a_new_run_holds_its_config_and_its_capture(out: Path, capture: Path):
    with opened(out, capture, Outer(seed=3)):
        pass
    folder = RunFolder.read(out)
    assert folder.config(Outer) == Outer(seed=3)
    assert folder.capture == capture.resolve()
    assert not folder.finished


def test_an_unfinished_run_is_continued_only_when_asked(out: Path, capture: Path):
    begin(out, capture, Outer())
    with pytest.raises(RunError, match="unfinished run of this capture and config: add --resume"):
        opened(out, capture, Outer())
    with opened(out, capture, Outer(), resume=True) as folder:
        assert not folder.finished


def test_a_finished_run_can_be_opened_again(out: Path, capture: Path):
    finish(out, capture, Outer())
    with opened(out, capture, Outer()) as folder:
        assert folder.finished
        assert folder.product("inpaint").read_bytes() == b"splats"


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_with_another_config_is_left_alone(out: Path, capture: Path, resume: bool):
    begin(out, capture, Outer())
    with pytest.raises(RunError, match=r"another config \(inner\.steps: 10 -> 20\)"):
        opened(out, capture, Outer(inner=Inner(steps=20)), resume=resume)
    assert RunFolder.read(out).config(Outer) == Outer()


def test_a_run_of_another_capture_is_left_alone(out: Path, capture: Path, tmp_path: Path):
    begin(out, capture, Outer())
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(RunError, match=f"a run of {capture.resolve()}, not {other.resolve()}"):
        opened(out, other, Outer(), resume=True)
    assert RunFolder.read(out).capture == capture.resolve()


def test_a_run_whose_capture_changed_is_left_alone(out: Path, capture: Path):
    begin(out, capture, Outer())
    (capture / "images" / "a.png").write_bytes(b"b")
    with pytest.raises(RunError, match="as it was before its files changed"):
        opened(out, capture, Outer(), resume=True)


def test_a_moved_capture_is_still_the_same(out: Path, capture: Path, tmp_path: Path):
    begin(out, capture, Outer())
    moved = capture.rename(tmp_path / "moved")
    with opened(out, moved, Outer(), resume=True):
        pass
    assert RunFolder.read(out).capture == moved.resolve()


def test_a_capture_is_the_same_by_whatever_path_it_and_its_masks_are_given(capture: Path, tmp_path: Path, monkeypatch):
    (capture / "mine").mkdir()
    elsewhere = tmp_path / "masks"
    elsewhere.mkdir()
    for folder in (capture / "mine", elsewhere):
        (folder / "a.png").write_bytes(b"m")
    link = tmp_path / "link"
    link.symlink_to(capture)
    monkeypatch.chdir(tmp_path)
    inside = {
        fingerprint(root, [*files_of(root), mask])
        for root in (capture, Path("capture"), link)
        for mask in (capture / "mine" / "a.png", Path("capture/mine/a.png"), link / "mine" / "a.png")
    }
    assert len(inside) == 1
    outside = {
        fingerprint(root, [*files_of(root), mask])
        for root in (capture, Path("capture"), link)
        for mask in (elsewhere / "a.png", Path("masks/a.png"))
    }
    moved = capture.rename(tmp_path / "zzz")
    assert {fingerprint(moved, [*files_of(moved), elsewhere / "a.png"])} == outside


def test_a_run_that_made_nothing_yet_starts_anew(out: Path, capture: Path):
    with opened(out, capture, Outer()) as folder:
        folder.stage("capture")
    (capture / "images" / "a.png").write_bytes(b"mended")
    with opened(out, capture, Outer(seed=1)):
        pass
    assert RunFolder.read(out).config(Outer).seed == 1


def test_a_folder_with_other_things_is_left_alone(out: Path, capture: Path):
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"not a run folder and not empty \(it holds thesis\.txt\)"):
        opened(out, capture, Outer(), resume=True)
    assert os.listdir(out) == ["thesis.txt"]


def test_a_file_in_the_place_of_the_folder_is_left_alone(out: Path, capture: Path):
    out.parent.mkdir()
    out.write_text("mine")
    with pytest.raises(RunError, match="cannot be written"):
        opened(out, capture, Outer())
    assert out.read_text() == "mine"


def test_a_missing_capture_makes_no_run(out: Path, tmp_path: Path):
    with pytest.raises(CaptureError, match="is not a folder"):
        opened(out, tmp_path / "nowhere", Outer())
    assert not out.exists()


def test_a_disk_without_locks_is_told_from_another_process(out: Path, capture: Path, monkeypatch: pytest.MonkeyPatch):
    def unable(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unable)
    with pytest.raises(RunError, match="knows no locks"):
        opened(out, capture, Outer())


def test_a_run_is_open_in_one_process_at_a_time(out: Path, capture: Path):
    with opened(out, capture, Outer()), pytest.raises(RunError, match="another splatpaint is working in"):
        opened(out, capture, Outer(), resume=True)
    with opened(out, capture, Outer(), resume=True):
        pass


def test_a_dead_process_leaves_no_lock(out: Path, capture: Path):
    script = (
        "import os, sys; from pathlib import Path; from tests.stages.test_folder import Outer, opened; "
        "folder = opened(Path(sys.argv[1]), Path(sys.argv[2]), Outer()); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(out), str(capture)], check=False)
    assert died.returncode == -9
    with opened(out, capture, Outer(), resume=True):
        pass


def test_what_is_not_a_run_cannot_be_read(tmp_path: Path):
    with pytest.raises(RunError, match="is not a run folder"):
        RunFolder.read(tmp_path)


def test_a_missing_product_says_how_to_get_it(out: Path, capture: Path):
    begin(out, capture, Outer())
    with pytest.raises(RunError, match="no splats of the stage 'inpaint' yet"):
        RunFolder.read(out).product("inpaint")


def test_a_config_of_another_version_is_refused_by_name(out: Path, capture: Path):
    begin(out, capture, Outer())
    (out / "config.yaml").write_text("seed: 0\nretired: 1\n")
    with pytest.raises(RunError, match=r"made by another version of splatpaint \(retired: unknown key.*another folder"):
        RunFolder.read(out).config(Outer)
    with pytest.raises(RunError, match="made by another version of splatpaint"):
        opened(out, capture, Outer(), resume=True)


def test_events_are_logged_a_line_each_and_pass_on_unchanged(out: Path, capture: Path):
    said = [
        Noted("remove", "odd", "warning"),
        Saved("remove", "view", Path("a/b")),
        Progressed("fit", 4, 4, {"l1": math.nan}),
    ]

    def stage() -> Events[int]:
        yield from said
        return 7

    heard = []

    def listen(events: Events[int]) -> Events[int]:
        while True:
            try:
                heard.append(next(events))
            except StopIteration as stop:
                return stop.value
            yield heard[-1]

    with opened(out, capture, Outer()) as folder:
        assert drain(listen(folder.logged(stage()))) == 7
        assert heard == said
        logged = lines(folder)
    assert [line["event"] for line in logged] == ["Noted", "Saved", "Progressed"]
    assert logged[1]["path"] == "a/b"
    assert logged[2]["values"] == {"l1": None}
    assert all(line["time"] for line in logged)


def test_of_quick_progress_the_first_and_the_last_are_logged(out: Path, capture: Path):
    with opened(out, capture, Outer()) as folder:
        for done in range(1, 101):
            folder.log(Progressed("fit", done, 100))
        assert [line["done"] for line in lines(folder)] == [1, 100]


def test_a_line_that_a_killed_process_left_torn_spoils_no_other(out: Path, capture: Path):
    with opened(out, capture, Outer()) as folder:
        folder.log(Noted("fit", "before"))
        with open(out / "events.jsonl", "a") as file:
            file.write('{"time": "20')
        folder.log(Noted("fit", "after"))
    whole = (out / "events.jsonl").read_text().splitlines()
    assert json.loads(whole[0])["message"] == "before"
    assert json.loads(whole[2])["message"] == "after"


def test_measurements_gather_by_stage(out: Path, capture: Path):
    with opened(out, capture, Outer()) as folder:
        folder.log(Measured("reconstruct", {"psnr": 20.0, "splats": 5}))
        folder.log(Measured("inpaint", {"psnr": math.inf}))
        folder.record("reconstruct", {"psnr": 21.0})
        assert folder.metrics == {"reconstruct": {"psnr": 21.0, "splats": 5}, "inpaint": {"psnr": None}}


def test_the_fingerprint_sees_names_and_contents_of_the_files_alone(capture: Path, tmp_path: Path):
    def now() -> str:
        return fingerprint(capture, files_of(capture))

    before = now()
    (capture / "notes.log").write_bytes(b"x")
    begin(capture / "run", capture, Outer())
    assert now() == before
    (capture / "images" / "a.png").rename(capture / "images" / "b.png")
    renamed = now()
    (capture / "images" / "b.png").write_bytes(b"c")
    assert len({before, renamed, now()}) == 3
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"m")
    with_mask = fingerprint(capture, [*files_of(capture), mask])
    assert with_mask != now()
    mask.write_bytes(b"n")
    assert fingerprint(capture, [*files_of(capture), mask]) != with_mask, "files elsewhere count too"


@pytest.mark.parametrize("name", [".lock", "events.jsonl", "inpaint", "pictures"])
def test_a_link_in_a_run_folder_writes_nothing_elsewhere(tmp_path: Path, out: Path, capture: Path, name: str):
    mine = tmp_path / "mine"
    mine.mkdir() if "." not in name else mine.write_text("mine")
    begin(out, capture, Outer())
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(mine)

    def write() -> None:
        with opened(out, capture, Outer(), resume=True) as folder:
            folder.log(Noted("capture", "something"))
            folder.stage(name)

    with pytest.raises((RunError, OSError)):
        write()
    assert (list(mine.iterdir()) if mine.is_dir() else mine.read_text()) in ([], "mine")


def test_a_run_that_was_killed_at_its_first_file_begins_anew(out: Path, capture: Path):
    out.mkdir(parents=True)
    (out / ".lock").touch()
    (out / ".0123abcd.capture.json").write_text("{")
    with opened(out, capture, Outer()):
        pass
    assert {file.name for file in out.iterdir()} == {".lock", "capture.json", "config.yaml"}
