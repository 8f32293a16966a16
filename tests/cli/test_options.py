import click
import pytest

from splatpaint.cli.options import assignments, mask_value
from splatpaint.config import load
from splatpaint.stages.config import RunConfig


def test_options_may_be_in_any_script():
    config = load(RunConfig, None, assignments({"prior.prompt": "a fern \U0001f33f, \u00e4lter", "seed": 3, "device": None}))
    assert config.prior.prompt == "a fern \U0001f33f, \u00e4lter"
    assert config.seed == 3


@pytest.mark.parametrize(
    ("polarity", "ids", "value"), [(None, (), None), ("black", (), "black"), (None, (3,), [3]), (None, (1, 8), [1, 8])]
)
def test_masks_are_read_by_polarity_or_by_objects(polarity, ids, value):
    assert mask_value(polarity, ids) == value


def test_a_polarity_and_objects_exclude_each_other():
    with pytest.raises(click.UsageError, match="exclude each other"):
        mask_value("white", (1,))
