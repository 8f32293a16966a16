"""Display of the events of a stage: progress bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar, assert_never

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from splatpaint.events import Event, Events, Measured, Noted, Progressed, Saved, SceneChanged, Skipped, drain

Product = TypeVar("Product")

LINE_EVERY_S = 5.0
"""Seconds between two progress lines of one stage without a terminal."""


def draw(events: Events[Product]) -> Product:
    """Runs the stage, displays its events, and returns its product."""
    console = Console()
    with Bars(console) if console.is_terminal else Lines() as screen:
        return drain(events, screen.show)


class Lines:
    """Plain lines on standard output."""

    def __init__(self) -> None:
        self._pace: dict[str, Pace] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, event: Event) -> None:
        """Prints one event; progress only every few seconds and when it is complete."""
        if isinstance(event, SceneChanged):
            return
        if isinstance(event, Progressed):
            pace = self._pace.setdefault(label(event), Pace(event.done))
            if not pace.is_due(event):
                return
            rate = pace.rate_and_remaining(event)
            click.echo(f"{label(event)}: {event.done}/{event.total}{rate}  {format_values(event.values)}".rstrip())
        else:
            click.echo(sentence(event))


class Pace:
    """Rate of a stage, and the time of its next progress line."""

    def __init__(self, done: int) -> None:
        self._from, self._since = done, time.monotonic()
        self._shown = self._since

    def is_due(self, event: Progressed) -> bool:
        """Whether `LINE_EVERY_S` passed since the last line, or the stage is complete."""
        now = time.monotonic()
        if now - self._shown < LINE_EVERY_S and event.done < event.total:
            return False
        self._shown = now
        return True

    def rate_and_remaining(self, event: Progressed) -> str:
        """Rate since the first event and remaining time; empty at first."""
        elapsed, worked = time.monotonic() - self._since, event.done - self._from
        if worked <= 0 or elapsed < 0.1:
            return ""
        left = (event.total - event.done) * elapsed / worked
        return f"  {format_rate(worked / elapsed)}" + (f"  {int(left) // 60}:{int(left) % 60:02d} left" if left else "")


class Bars:
    """One bar per stage with rate, remaining time and latest values; notes and tables are printed above the bars."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=16, table_column=Column(min_width=16)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            RateColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            # The values take the rest of the line and are truncated first.
            TextColumn("{task.fields[values]}", style="dim", table_column=Column(ratio=1, no_wrap=True)),
            console=console,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Updates a bar, or prints above the bars."""
        match event:
            case Progressed():
                state = {"completed": event.done, "total": event.total, "values": format_values(event.values)}
                if label(event) in self._tasks:
                    self._progress.update(self._tasks[label(event)], **state)
                else:  # begun where it is, so that what an earlier process did does not count as speed
                    self._tasks[label(event)] = self._progress.add_task(label(event), **state)
            case SceneChanged():
                pass
            case Measured():
                self._progress.console.print(table(event))
            case Noted(level="warning"):
                self._progress.console.print(Text(sentence(event), style="yellow"))
            case _:
                self._progress.console.print(Text(sentence(event)))


class RateColumn(ProgressColumn):
    """Units of work per second."""

    def render(self, task: Task) -> Text:
        """The rate of the last half minute, or of the whole task when it is complete."""
        speed = task.finished_speed or task.speed
        return Text(format_rate(speed) if speed else "", style="cyan")


def label(event: Progressed) -> str:
    """Stage, round and part of the work."""
    round_ = f" {event.round}/{event.rounds}" if event.rounds else ""
    return f"{event.stage}{round_}" + (f": {event.part}" if event.part else "")


def sentence(event: Noted | Measured | Saved | Skipped) -> str:
    """The event in one line."""
    match event:
        case Noted():
            return f"{event.stage}: {'warning: ' if event.level == 'warning' else ''}{event.message}"
        case Measured():
            return f"{event.stage}: {format_values(event.values)}"
        case Saved():
            return f"{event.stage}: {event.what} in {event.path}"
        case Skipped():
            return f"{event.stage}: already there, taken from {event.path}"
        case _:
            assert_never(event)


def table(event: Measured) -> Table:
    """The measured values, one per row."""
    rows = Table(title=event.stage, title_justify="left", show_header=False, box=None, padding=(0, 2))
    for name, value in event.values.items():
        rows.add_row(name, format_number(value))
    return rows


def format_values(values: Mapping[str, float | int]) -> str:
    """Names and values in one line."""
    return ", ".join(f"{name} {format_number(value)}" for name, value in values.items())


def format_number(value: float | int) -> str:
    """Formatted value: four digits of a fraction, all digits of a count."""
    return f"{int(value)}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.4g}"


def format_rate(per_second: float) -> str:
    """Formatted rate: units per second, or seconds per unit below one per second."""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"
