import math
from dataclasses import replace

import pytest
import torch

from splatpaint.events import Events, Noted, drain
from splatpaint.fill.views import observed_views
from splatpaint.masks.holes import HolesConfig
from splatpaint.masks.removal import Removal
from splatpaint.masks.selection import RemoveConfig
from splatpaint.render.native import rasterize
from splatpaint.scene.photos import Photos
from splatpaint.stages.remove import remove
from tests.support.table import HEIGHT, Table, away_from_block, table_with_block

KEEP = RemoveConfig(mask_grow=0.0, outline_error=0.01, holes=HolesConfig(min_area_px=4))
REMOVE = replace(KEEP, shadow="remove")
END = 1.8 * HEIGHT
"""Distance from the block's side where no shadow is any more: low light throws shadows 1.6 times as long as it is high."""


def removal_of(scene: Table, config: RemoveConfig) -> tuple[Removal, list[str]]:
    notes: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Noted):
            notes.append(event.message)

    photos = Photos(scene.capture.views, torch.device("cpu"))
    stage: Events[Removal] = remove(scene.scene, photos, rasterize, config)
    return drain(stage, note), notes


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_with_block(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def kept(scene: Table) -> tuple[Removal, list[str]]:
    return removal_of(scene, KEEP)


@pytest.fixture(scope="module")
def lightened(scene: Table) -> tuple[Removal, list[str]]:
    return removal_of(scene, REMOVE)


def test_a_shadow_stays_by_default_and_is_told_of(scene: Table, kept: tuple[Removal, list[str]]):
    removal, notes = kept
    assert len(notes) == 1
    assert "--shadow remove" in notes[0]
    assert all(hole.shade is None for hole in removal.holes)
    colors = {tuple(row) for row in scene.table.sh[:, 0].tolist()}
    assert {tuple(row) for row in removal.kept.sh[:, 0].tolist()} <= colors


def test_a_lightened_shadow_is_nearer_to_the_truth_by_six_decibels(
    scene: Table, kept: tuple[Removal, list[str]], lightened: tuple[Removal, list[str]]
):
    before, after = kept[0].kept, lightened[0].kept
    assert torch.equal(before.means, after.means)
    row = {tuple(mean): index for index, mean in enumerate(scene.table.means.tolist())}
    original = torch.tensor([row[tuple(mean)] for mean in before.means.tolist()])
    truth = scene.truth.sh[original]
    shadow = ((scene.table.sh - scene.truth.sh)[original].abs().amax(dim=(1, 2)) > 0.05) & (away_from_block(before.means) > 0)
    errors = [float((splats.sh - truth)[shadow].square().mean()) for splats in (before, after)]
    assert shadow.sum() > 50
    assert 10 * math.log10(errors[0] / errors[1]) > 6


def test_nothing_farther_than_the_shadow_changes(kept: tuple[Removal, list[str]], lightened: tuple[Removal, list[str]]):
    before, after = kept[0].kept, lightened[0].kept
    far = away_from_block(before.means) > END
    assert far.sum() > 1000
    for one, other in zip(before[far].tensors().values(), after[far].tensors().values(), strict=True):
        assert torch.equal(one, other)


def test_the_fill_sees_photos_without_the_shadow(scene: Table, lightened: tuple[Removal, list[str]]):
    photos = Photos(scene.capture.views, torch.device("cpu"))
    views = observed_views(photos, lightened[0], rasterize)
    darker = nearer = 0.0
    for photo, view in zip(photos, views, strict=True):
        truth = rasterize(scene.truth, photo.camera).color.clamp(0, 1)
        shadow = ((truth - photo.image).amax(dim=1, keepdim=True) > 0.03) & (view.observed > 0)
        darker += float(((photo.image - truth).square() * shadow).sum())
        nearer += float(((view.image - truth).square() * shadow).sum())
    assert 10 * math.log10(darker / nearer) > 6


def test_without_a_shadow_nothing_changes_and_nothing_is_said(tmp_path):
    bright = table_with_block(tmp_path, shadow=False)
    (removal, notes), (same, _) = removal_of(bright, REMOVE), removal_of(bright, KEEP)
    assert notes == []
    assert torch.equal(removal.kept.sh, same.kept.sh)
    assert all(hole.shade is None for hole in removal.holes)


def test_a_dark_tile_under_the_object_is_not_touched(tmp_path):
    tiled = table_with_block(tmp_path, shadow=False, tile=True)
    removal, notes = removal_of(tiled, REMOVE)
    assert notes == []
    assert all(hole.shade is None for hole in removal.holes)
