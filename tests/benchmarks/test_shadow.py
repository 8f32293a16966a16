import pytest
import torch

from benchmarks.protocol import Draw, Drawn
from benchmarks.shadow import DARKER, compare, rows
from benchmarks.synthetic_room import make_room
from splatpaint.capture import CaptureConfig
from splatpaint.image.files import read_image
from splatpaint.scene.views import View
from splatpaint.stages.config import RunConfig


def test_what_is_half_undone_is_six_decibels_nearer_and_nothing_else_is_touched(tmp_path):
    room, lit = tmp_path / "room", tmp_path / "lit"
    make_room(room, views=4, size=(96, 72), shadow=True)
    make_room(lit, views=4, size=(96, 72))

    def drawn(share: float) -> Draw:
        """The photos, so much of the way from the truth to the shadow."""

        def draw(view: View) -> Drawn:
            truth = read_image(room / "truth" / f"{view.name}.png")[None]
            photo = read_image(room / "images" / f"{view.name}.png")[None]
            return Drawn(torch.lerp(truth, photo, share), truth[:, :1])

        return draw

    config = RunConfig(capture=CaptureConfig(max_resolution=96))
    scores = compare({"keep": drawn(1.0), "remove": drawn(0.5), "no shadow": drawn(0.25)}, room, lit, tmp_path, config)
    for limit in DARKER:
        assert scores[f"remove/{limit}"] - scores[f"keep/{limit}"] == pytest.approx(6.02, abs=0.01)
        assert scores[f"no shadow/{limit}"] - scores[f"keep/{limit}"] == pytest.approx(12.04, abs=0.01)
    assert scores["touched"] == 0
    assert rows(scores)[4][1:] == ["6.02"] * len(DARKER)
    spilt = compare({"keep": drawn(1.0), "remove": lambda view: dimmed(drawn(0.5)(view)), "no shadow": drawn(0.0)}, room, lit,
                    tmp_path, config)  # fmt: skip
    assert spilt["touched"] > 0.9


def dimmed(drawn: Drawn) -> Drawn:
    return Drawn(0.9 * drawn.color, drawn.depth)
