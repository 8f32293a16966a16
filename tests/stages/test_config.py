from pathlib import Path

import pytest

from splatpaint.config import differences, dump, from_tree, load, load_tree, parse, to_tree
from splatpaint.errors import ConfigError
from splatpaint.stages.config import RunConfig

RECIPES = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


def leaves(tree: dict) -> int:
    return sum(leaves(value) if isinstance(value, dict) else 1 for value in tree.values())


def test_the_defaults_survive_being_written_and_read():
    assert from_tree(RunConfig, parse(dump(RunConfig()))) == RunConfig()


def test_there_are_recipes():
    assert {"preview", "remove_best", "remove_fast", "replace", "complete", "expand"} <= {recipe.stem for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_loads_and_says_only_what_differs_from_the_defaults(recipe: Path):
    config = load(RunConfig, recipe)
    assert len(differences(to_tree(RunConfig()), to_tree(config))) == leaves(load_tree(recipe))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_is_short_and_begins_by_saying_what_it_is_for(recipe: Path):
    lines = recipe.read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith("# ")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("capture.max_resolution=3", "capture: max_resolution is 3"),
        ("capture.mask_polarity=purple", "capture.mask_polarity: 'purple' is not one of auto, white, black"),
        ("device=tpu", "device: 'tpu' is not one of auto, cpu, cuda"),
        ("reconstruct.density.max_splat=3", "reconstruct.density.max_splat: unknown key, did you mean 'max_splats'?"),
    ],
)
def test_settings_of_every_depth_are_checked(assignment: str, message: str):
    with pytest.raises(ConfigError) as caught:
        load(RunConfig, overrides=[assignment])
    assert str(caught.value).startswith(message)
