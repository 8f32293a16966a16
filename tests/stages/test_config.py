from pathlib import Path

import pytest
import torch
import yaml

from splatpaint.config import differences, dump, from_tree, load, load_tree, parse, to_tree
from splatpaint.errors import ConfigError
from splatpaint.fill.novel_views import NovelViewsConfig
from splatpaint.objectives.perceptual import PerceptualConfig
from splatpaint.stages.config import RunConfig
from splatpaint.streams import generator

RECIPES = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


def leaves(tree: dict) -> int:
    return sum(leaves(value) if isinstance(value, dict) else 1 for value in tree.values())


def test_the_defaults_survive_being_written_and_read():
    assert from_tree(RunConfig, parse(dump(RunConfig()))) == RunConfig()


def printed_leaves(tree: object) -> int:
    """Values that `splatpaint config` prints, a list of plain values as one."""
    match tree:
        case dict():
            return sum(printed_leaves(value) for value in tree.values())
        case [dict(), *_]:
            return sum(printed_leaves(value) for value in tree)
    return 1


def test_there_are_at_most_a_hundred_settings():
    assert 50 < printed_leaves(parse(dump(RunConfig()))) <= 100


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
        ("capture.mask_value=purple", "capture.mask_value: 'purple' is not one of auto, white, black"),
        ("device=tpu", "device: 'tpu' is not one of auto, cpu, cuda"),
        ("reconstruct.density.max_splat=3", "reconstruct.density.max_splat: unknown key, did you mean 'max_splats'?"),
    ],
)
def test_settings_of_every_depth_are_checked(assignment: str, message: str):
    with pytest.raises(ConfigError) as caught:
        load(RunConfig, overrides=[assignment])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ("capture.mask_polarity=black", "capture.mask_polarity: is now capture.mask_value"),
        ("reconstruct.veil=0.2", "reconstruct.veil: is now reconstruct.near_floater_depth"),
        ("reconstruct.apart=0.2", "reconstruct.apart: is no setting any more: it is a constant in the code, or gone"),
        (
            "reconstruct.photometric.dssim=0",
            "reconstruct.photometric: is now reconstruct.objectives, the one of kind: photometric",
        ),
        ("inpaint.leash=false", "inpaint.leash: is now inpaint.preserve_observed"),
        ("inpaint.rim_px=8", "inpaint.rim_px: is now inpaint.boundary_px"),
        ("inpaint.pieces=1", "inpaint.pieces: is now inpaint.exemplar_weight"),
        ("inpaint.unseen.margin=1", "inpaint.unseen: is now inpaint.unobserved"),
        ("inpaint.seed.borne_out=0", "inpaint.seed.borne_out: is now inpaint.seed.min_view_support"),
        (
            "inpaint.novel.share=0.2",
            "inpaint.novel: is now in a list: --set 'inpaint.samplers+={kind: novel_views, share: 0.2}'",
        ),
        (
            "inpaint.adversarial.weight=0.3",
            "inpaint.adversarial: is now in a list: --set 'inpaint.objectives+={kind: adversarial, weight: 0.3}'",
        ),
        ("remove.visible_alpha=0.3", "remove.visible_alpha: is no setting any more: it is a constant in the code, or gone"),
        (
            "remove.holes.min_views=1000000",
            "remove.holes.min_views: is now remove.holes.use_other_views (false where it was 1000000)",
        ),
        ("customize.looks=vgg", "customize.looks: is now customize.perceptual_net"),
        ("inpaint.reference=beside", "inpaint.reference: 'beside' is now context_view"),
    ],
)
def test_old_names_are_answered_with_the_new_ones(tmp_path, old: str, message: str):
    with pytest.raises(ConfigError) as caught:
        load(RunConfig, overrides=[old])
    assert str(caught.value) == message
    dotted, _, value = old.partition("=")
    nested: object = parse(value)
    for step in reversed(dotted.split(".")):
        nested = {step: nested}
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump(nested))
    with pytest.raises(ConfigError) as caught:
        load(RunConfig, file)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["perceptual", "adversarial", "distill", "disparity"])
def test_what_compares_holes_is_refused_in_a_reconstruction(kind: str):
    with pytest.raises(ConfigError, match=f"reconstruct: objectives: {kind} compares holes .* put it into inpaint.objectives"):
        load(RunConfig, overrides=[f"reconstruct.objectives+={{kind: {kind}}}"])


def test_the_recipe_for_replacing_begins_with_the_default_objectives():
    recipe = load(RunConfig, next(recipe for recipe in RECIPES if recipe.stem == "replace"))
    default = RunConfig().inpaint.objectives
    assert recipe.inpaint.objectives[: len(default)] == default


def test_an_objective_or_a_sampler_is_added_to_its_list():
    config = load(RunConfig, overrides=["inpaint.objectives+={kind: perceptual}", "inpaint.samplers+={kind: novel_views}"])
    assert config.inpaint.objectives == (*RunConfig().inpaint.objectives, PerceptualConfig())
    assert config.inpaint.samplers == (NovelViewsConfig(),)
    with pytest.raises(ConfigError, match=r"inpaint\.rounds: is no list"):
        load(RunConfig, overrides=["inpaint.rounds+=3"])
    with pytest.raises(ConfigError, match=r"inpaint\.objectives\[4\]\.kind: 'sdss' is not one of photometric"):
        load(RunConfig, overrides=["inpaint.objectives+={kind: sdss}"])


@pytest.mark.parametrize("seed", [2**32, 10**13, 10**40])
def test_seeds_that_some_library_would_refuse_are_refused_at_once(seed: int):
    with pytest.raises(ConfigError, match="seed"):
        load(RunConfig, overrides=[f"seed={seed}"])


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_every_seed_of_a_run_has_a_stream_everywhere(seed: int):
    load(RunConfig, overrides=[f"seed={seed}"])
    drawn = [torch.rand(3, generator=generator(seed, round=9, view=10**6, step=10**6)) for _ in range(2)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize(
    "assignment",
    ["reconstruct.density.every=0", "reconstruct.density.max_splats=0", "inpaint.rates.means=0", "inpaint.rates.means_final=0",
     "depth.side_px=0", "customize.rank=0", "customize.batch=0", "customize.pictures=0"],
)  # fmt: skip
def test_zeros_that_something_is_divided_by_are_refused(assignment: str):
    key = assignment.split("=")[0].rsplit(".", 1)
    with pytest.raises(ConfigError, match=rf"^{key[0]}: {key[1]} is 0"):
        load(RunConfig, overrides=[assignment])
