from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from splatpaint.events import Progressed, Skipped, drain
from splatpaint.formats import write_splats
from splatpaint.image.files import image_size, read_image, write_image, write_mask
from splatpaint.image.sheet import CAPTION_PX
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, Similarity, View
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.pictures import What, before_after, colored_depth, draw_strips, painted, render_views

CPU = torch.device("cpu")
WIDTH, HEIGHT = 32, 24


def camera(shift: float = 0.0) -> Cameras:
    cam_from_world = torch.eye(4)
    cam_from_world[:3, 3] = torch.tensor([shift, 0.0, 4.0])
    return Cameras(torch.tensor([[[30.0, 0, 16], [0, 30, 12], [0, 0, 1]]]), cam_from_world[None], width=WIDTH, height=HEIGHT)


@dataclass(frozen=True)
class Settings:
    seed: int = 0


def blob(color: float) -> Splats:
    return Splats(
        means=torch.zeros(1, 3),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        log_scales=torch.full((1, 3), -0.5),
        logit_opacities=torch.tensor([4.0]),
        sh=torch.full((1, 1, 3), color),
    )


@pytest.fixture
def views(tmp_path: Path) -> tuple[View, ...]:
    made = []
    for i in range(8):
        image, mask = tmp_path / f"{i}.png", tmp_path / f"{i}.mask.png"
        write_image(image, torch.rand(3, HEIGHT, WIDTH))
        hole = torch.zeros(1, HEIGHT, WIDTH)
        hole[:, 4:9, 4:9] = 1
        write_mask(mask, hole)
        made.append(View(f"left/{i}", camera(0.05 * i), image, fill_mask=mask))
    return tuple(made)


@pytest.mark.parametrize("what", ["color", "depth", "alpha"])
def test_every_view_gets_a_picture_of_its_size_under_its_name(views: tuple[View, ...], tmp_path: Path, what: What):
    drain(render_views(blob(0.5), views, rasterize, tmp_path / "out", what=what, device=CPU))
    assert {image_size(tmp_path / "out" / "left" / f"{i}.png") for i in range(8)} == {(WIDTH, HEIGHT)}


def test_color_pictures_are_the_render_in_8_bits(views: tuple[View, ...], tmp_path: Path):
    drain(render_views(blob(0.5), views[:1], rasterize, tmp_path, device=CPU))
    rendered = rasterize(blob(0.5), views[0].camera).color[0].clamp(0, 1)
    torch.testing.assert_close(read_image(tmp_path / "left" / "0.png"), rendered, atol=0.5 / 255 + 1e-6, rtol=0)


def test_alpha_pictures_are_gray():
    rendered = rasterize(blob(0.5), camera())
    picture = painted(rendered, "alpha")
    assert torch.equal(picture[0], picture[2])
    assert torch.equal(picture[:1], rendered.alpha[0])


def test_nearer_is_brighter_and_unknown_is_black():
    depth = torch.linspace(1, 5, 100).reshape(1, 10, 10).clone()
    depth[0, 0, 0] = 0
    picture = colored_depth(depth)
    brightness = picture.sum(dim=0).flatten()
    assert brightness[0] == 0
    assert (brightness[3:].diff() <= 1e-6).all()
    assert brightness[3] > 3 * brightness[-1]


def test_a_picture_without_any_depth_is_black():
    assert not colored_depth(torch.zeros(1, 4, 5)).any()


def test_a_flat_depth_gives_one_color():
    picture = colored_depth(torch.full((1, 4, 5), 2.0))
    assert torch.equal(picture, picture[:, :1, :1].expand(3, 4, 5))


def test_a_strip_shows_photo_hole_and_the_three_scenes_side_by_side(views: tuple[View, ...], tmp_path: Path):
    hole = torch.zeros(1, 1, HEIGHT, WIDTH)
    hole[..., 10:14, 10:20] = 1
    out = tmp_path / "pictures"
    events = list(
        draw_strips(
            Photos(views, CPU),
            {"left/0": hole},
            reconstructed=blob(1.0),
            kept=blob(-1.0)[:0],
            filled=blob(0.2),
            rasterizer=rasterize,
            out=out,
        )
    )
    strip = read_image(out / "left" / "0.png")[:, CAPTION_PX:]
    panels = [strip[:, :, i * (WIDTH + 2) : i * (WIDTH + 2) + WIDTH] for i in range(6)]
    photo = read_image(views[0].image)
    torch.testing.assert_close(panels[0], photo, atol=1.1 / 255, rtol=0)
    changed = (panels[1] - photo).abs().amax(dim=0) > 2 / 255
    assert not changed[hole[0, 0] == 0].any()
    assert changed[hole[0, 0] == 1].float().mean() > 0.9
    torch.testing.assert_close(panels[2], rasterize(blob(1.0), views[0].camera).color[0].clamp(0, 1), atol=1.1 / 255, rtol=0)
    assert not panels[3].any()
    torch.testing.assert_close(panels[4], rasterize(blob(0.2), views[0].camera).color[0].clamp(0, 1), atol=1.1 / 255, rtol=0)
    assert sum(isinstance(event, Progressed) for event in events) == len(views)


def test_the_contact_sheet_stacks_six_views(views: tuple[View, ...], tmp_path: Path):
    scenes = {"reconstructed": blob(1.0), "kept": blob(0.0), "filled": blob(0.2)}
    sheet = drain(draw_strips(Photos(views, CPU), {}, **scenes, rasterizer=rasterize, out=tmp_path / "pictures"))
    assert image_size(sheet) == (6 * (WIDTH + 2) - 2, 6 * (HEIGHT + CAPTION_PX + 4) - 4)


def test_a_finished_run_is_drawn_once(views: tuple[View, ...], tmp_path: Path):
    capture_folder = tmp_path / "capture"
    capture_folder.mkdir()
    capture = Capture(views[1:], views[:1], None, Similarity())
    with RunFolder.open(tmp_path / "run", capture_folder, Settings(), files=[]) as folder:
        for stage in ("reconstruct", "remove", "inpaint"):
            folder.stage(stage)
            write_splats(folder.splats(stage), blob(0.3))
        for view in capture.views:
            write_mask(folder.path / "remove" / "holes" / f"{view.name}.png", torch.zeros(1, HEIGHT, WIDTH))
        sheet = drain(before_after(folder, Photos(capture.all_views, CPU), rasterize))
        assert sheet == tmp_path / "run" / "pictures" / "contact-sheet.png"
        assert sorted(path.stem for path in (sheet.parent / "left").iterdir()) == [str(i) for i in range(8)]
        assert list(before_after(folder, Photos(capture.all_views, CPU), rasterize)) == [Skipped("pictures", sheet)]


def test_a_view_without_a_hole_of_its_own_shows_its_fill_mask(views: tuple[View, ...], tmp_path: Path):
    scenes = {"reconstructed": blob(1.0), "kept": blob(0.0), "filled": blob(0.2)}
    drain(draw_strips(Photos(views[:1], CPU), {}, **scenes, rasterizer=rasterize, out=tmp_path / "pictures"))
    strip = read_image(tmp_path / "pictures" / "left" / "0.png")[:, CAPTION_PX:]
    changed = (strip[:, :, WIDTH + 2 : 2 * WIDTH + 2] - strip[:, :, :WIDTH]).abs().amax(dim=0) > 2 / 255
    assert changed[4:9, 4:9].float().mean() > 0.9
    assert changed.sum() <= 25
