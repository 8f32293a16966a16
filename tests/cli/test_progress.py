import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from splatpaint.cli import progress
from splatpaint.cli.progress import Bars, Lines, Pace, draw, format_number, format_rate
from splatpaint.events import Event, Events, Measured, Noted, Progressed, Saved, Skipped


def stage(*events: Event) -> Events[int]:
    yield from events
    return 5


def test_drawing_gives_the_product(capsys: pytest.CaptureFixture):
    assert draw(stage(Noted("fit", "hello"))) == 5
    assert capsys.readouterr().out == "fit: hello\n"


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture):
    draw(stage(*(Progressed("fit", done, 1000, {"l1": 0.5}) for done in range(1, 1001))))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fit: 1000/1000")
    assert lines[0].endswith("l1 0.5")


def test_every_stage_has_its_own_pace(capsys: pytest.CaptureFixture):
    draw(stage(Progressed("a", 1, 2), Progressed("b", 1, 1), Progressed("a", 2, 2)))
    assert capsys.readouterr().out.splitlines() == ["b: 1/1", "a: 2/2"]


def test_a_line_is_due_when_the_last_is_old(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    pace = Pace(0)
    assert not pace.is_due(Progressed("fit", 10, 100))
    now += progress.LINE_EVERY_S
    assert pace.is_due(Progressed("fit", 10, 100))
    assert not pace.is_due(Progressed("fit", 11, 100))
    assert pace.is_due(Progressed("fit", 100, 100))


def test_the_time_left_is_that_of_the_work_done_here(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    pace = Pace(500)  # a resumed stage begins in the middle
    now = 10.0
    assert pace.rate_and_remaining(Progressed("fit", 520, 1000)) == "  2.0/s  4:00 left"
    assert pace.rate_and_remaining(Progressed("fit", 500, 1000)) == ""


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Noted("remove", "odd [1] thing", "warning"), "remove: warning: odd [1] thing"),
        (Measured("fit", {"psnr": 29.61234, "splats": 100000.0}), "fit: psnr 29.61, splats 100000"),
        (Saved("export", "9 splats", Path("a/[b].ply")), "export: 9 splats in a/[b].ply"),
        (Skipped("fit", Path("x")), "fit: already there, taken from x"),
    ],
)
def test_every_event_has_its_line(event: Event, line: str, capsys: pytest.CaptureFixture):
    Lines().show(event)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_terminal_shows_bars_with_rates_and_numbers_and_takes_no_text_for_markup():
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with Bars(console) as bars:
        for done in (1, 2, 3, 4):
            bars.show(Progressed("fit", done, 4, {"l1": 0.25}))
        bars.show(Noted("fit", "in [bold]a[/bold] path [x]"))
        bars.show(Measured("fit", {"psnr": 30.0}))
    drawn = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    for piece in ("4/4", "l1 0.25", "in [bold]a[/bold] path [x]", "psnr", "30"):
        assert piece in drawn


def test_on_a_narrow_terminal_the_numbers_are_cut_and_not_the_bar():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    losses = {"photometric": 0.123, "perceptual": 0.456, "coverage": 0.789, "splats": 1}
    with Bars(console) as bars:
        bars.show(Progressed("reconstruct", 2500, 3000, losses))
    lines = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    bar = next(line for line in lines if "2500/3000" in line)
    assert "reconstruct" in bar
    assert "━" * 10 in bar
    assert "photometric" in bar
    assert "splats" not in bar


def test_an_error_leaves_the_terminal_usable():
    console = Console(file=io.StringIO(), force_terminal=True)
    bars = Bars(console)
    with pytest.raises(ValueError, match="inside"), bars:
        raise ValueError("inside")
    assert console.file.getvalue().endswith("\x1b[?25h")  # pyright: ignore[reportAttributeAccessIssue] - cursor shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (123456.0, "123456"), (7, "7"), (0.00012345, "0.0001234"), (math.inf, "inf"), (math.nan, "nan")],
)
def test_counts_keep_their_digits_and_fractions_four(value: float | int, text: str):
    assert format_number(value) == text


def test_slow_work_is_told_in_seconds():
    assert format_rate(2.0) == "2.0/s"
    assert format_rate(0.25) == "4.0 s each"
