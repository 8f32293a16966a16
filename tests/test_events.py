from collections.abc import Iterator

import pytest

from splatpaint.events import Event, Events, Measured, Noted, Progressed, drain


def counting(total: int) -> Events[int]:
    for done in range(1, total + 1):
        yield Progressed(stage="count", done=done, total=total)
    return total


def composed() -> Events[str]:
    first = yield from counting(2)
    second = yield from counting(3)
    yield Measured(stage="sum", values={"sum": float(first + second)})
    return f"{first}+{second}"


def test_drain_returns_the_product():
    assert drain(counting(4)) == 4


def test_drain_shows_every_event_in_order():
    shown: list[Event] = []
    assert drain(counting(3), shown.append) == 3
    assert shown == [Progressed("count", done, 3) for done in (1, 2, 3)]


def test_stages_compose_and_keep_the_order_of_their_events():
    def seen() -> Iterator[Event]:
        product = yield from composed()
        assert product == "2+3"

    events = list(seen())
    assert [event.stage for event in events] == ["count"] * 5 + ["sum"]
    assert events[-1] == Measured(stage="sum", values={"sum": 5.0})


def test_a_stage_does_nothing_before_it_is_asked():
    log: list[str] = []

    def lazy() -> Events[None]:
        log.append("started")
        yield Noted(stage="lazy", message="working")

    events = lazy()
    assert not log
    drain(events)
    assert log == ["started"]


def test_what_a_stage_raises_reaches_the_caller():
    def failing() -> Events[None]:
        yield Noted(stage="fail", message="about to")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        drain(failing())
