from splatpaint.cli.options import assignments
from splatpaint.config import load
from splatpaint.stages.config import RunConfig


def test_options_may_be_in_any_script():
    config = load(RunConfig, None, assignments({"prior.prompt": "a fern \U0001f33f, \u00e4lter", "seed": 3, "device": None}))
    assert config.prior.prompt == "a fern \U0001f33f, \u00e4lter"
    assert config.seed == 3
