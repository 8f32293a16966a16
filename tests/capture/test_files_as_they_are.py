"""Photos, masks and descriptions as tools and phones leave them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from splatpaint.capture import CaptureConfig, inspect, load_capture
from splatpaint.capture.layout import read_layout
from splatpaint.capture.transforms import read_transforms
from splatpaint.errors import CaptureError, MaskError
from splatpaint.image.files import read_image, read_mask
from tests.capture.test_lens import LENSES
from tests.support.captures import shoot, write_colmap, write_llff, write_masks, write_transforms

SHOTS = shoot(views=3)
TO_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What makes of the upright picture the one that is stored with an EXIF orientation."""
SIDEWAYS = (5, 6, 7, 8)


def tag(root, orientation, *, store=False):
    """Gives the photos an EXIF orientation; with `store`, so that they are what they were once they are turned upright."""
    for file in (root / "images").iterdir():
        picture = Image.open(file).convert("RGB")
        exif = Image.Exif()
        exif[0x0112] = orientation
        (picture.transpose(TO_STORED[orientation]) if store else picture).save(file, exif=exif)


def written_masks(root):
    """A mask of the stored pixels that looks alike from no other side, and where it is."""
    stored = torch.zeros(48, 64)
    stored[:12, :20] = 1
    (root / "masks").mkdir()
    return stored


def prepared(root):
    return load_capture(root, CaptureConfig(), cache=root / "cache")


@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_masks_that_were_drawn_on_photos_turned_upright_are_turned_back(tmp_path, orientation):
    write_colmap(tmp_path, SHOTS)
    tag(tmp_path, orientation)
    stored = written_masks(tmp_path)
    picture = Image.fromarray((stored.numpy() * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "tagged.png", exif=exif)
    for name in SHOTS.names:
        ImageOps.exif_transpose(Image.open(tmp_path / "tagged.png")).save(tmp_path / "masks" / f"{name}.png")
    notes = inspect(tmp_path, CaptureConfig()).notes
    assert any("3 masks are turned by the EXIF orientation of their photos" in note for note in notes)
    assert any(f"3 photos have an EXIF orientation ({orientation}) but are used as they are stored" in note for note in notes)
    for view in prepared(tmp_path).views:
        torch.testing.assert_close(read_mask(view.fill_mask)[0], stored)


@pytest.mark.parametrize("orientation", SIDEWAYS)
@pytest.mark.parametrize("masks", ["upright", "stored"])
def test_photos_are_turned_where_only_then_they_have_the_shape_of_their_camera(tmp_path, orientation, masks):
    write_colmap(tmp_path, SHOTS)
    tag(tmp_path, orientation, store=True)
    upright = written_masks(tmp_path)
    for name in SHOTS.names:
        picture = Image.fromarray((upright.numpy() * 255).astype(np.uint8))
        if masks == "stored":
            picture = picture.transpose(TO_STORED[orientation])
        picture.save(tmp_path / "masks" / f"{name}.png")
    posed = read_layout(tmp_path)
    assert "3 photos are turned as their EXIF orientation says, as only then they have the shape of their camera" in posed.notes
    for view, image in zip(prepared(tmp_path).views, SHOTS.images, strict=True):
        torch.testing.assert_close(read_image(view.image), image, atol=0.51 / 255, rtol=0)
        torch.testing.assert_close(read_mask(view.fill_mask)[0], upright)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_an_orientation_that_keeps_the_shape_is_said(tmp_path, orientation):
    write_transforms(tmp_path, SHOTS)
    tag(tmp_path, orientation)
    (note,) = read_layout(tmp_path).notes
    assert note.startswith(f"3 photos have an EXIF orientation ({orientation}) but are used as they are stored")


def test_a_sideways_photo_without_the_tag_is_still_refused(tmp_path):
    write_transforms(tmp_path, SHOTS, w=48, h=64)
    with pytest.raises(CaptureError, match="is 64x48 but its camera was calibrated for 48x64"):
        read_layout(tmp_path)
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", shoot(views=3))
    Image.new("L", (48, 64), 255).save(tmp_path / "masks" / "shot_01.png")
    with pytest.raises(MaskError, match="is 48x64 but its photo is 64x48"):
        inspect(tmp_path, CaptureConfig())


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_of_photos_are_ignored(tmp_path, mode):
    write_colmap(tmp_path, SHOTS)
    for file in (tmp_path / "images").iterdir():
        if mode == "P":
            pixels = np.array(Image.open(file).convert("L")) // 2 + 1
            pixels[:, :16] = 0
            picture = Image.fromarray(pixels, mode="P")
            picture.putpalette([value for gray in range(256) for value in (gray, gray, gray)])
            picture.save(file, transparency=0)
        else:
            picture = Image.open(file).convert("RGBA")
            picture.paste((255, 0, 255, 0), (0, 0, 16, 48))
            picture.convert(mode).save(file)
    said = []
    capture = load_capture(tmp_path, CaptureConfig(), cache=tmp_path / "cache", show=said.append)
    assert any("3 photos have transparent pixels: these are ignored" in getattr(event, "message", "") for event in said)
    for view in capture.views:
        assert read_mask(view.ignore_mask)[0].mean(dim=0).tolist() == [1.0] * 16 + [0.0] * 48


def test_an_alpha_channel_without_transparent_pixels_ignores_nothing(tmp_path):
    write_colmap(tmp_path, SHOTS)
    for file in (tmp_path / "images").iterdir():
        Image.open(file).convert("RGBA").save(file)
    assert [view.ignore_mask for view in prepared(tmp_path).views] == [None] * 3


@pytest.mark.parametrize("suffix", [".heic", ".HEIC", ".dng", ".avif"])
@pytest.mark.parametrize("write", [write_colmap, write_transforms, write_llff])
def test_photos_of_a_format_that_is_not_read_are_named_as_such(tmp_path, write, suffix):
    write(tmp_path, SHOTS)
    folder = next(path for path in tmp_path.iterdir() if path.name.startswith("images"))
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(suffix))
    with pytest.raises(CaptureError, match=rf"3 pictures of .* \(such as shot_00\{suffix}\) are of a format that is not read"):
        read_layout(tmp_path)


def test_single_photos_of_such_a_format_are_said(tmp_path):
    write_colmap(tmp_path, shoot())
    (tmp_path / "images" / "shot_02.png").rename(tmp_path / "images" / "shot_02.heic")
    notes = read_layout(tmp_path).notes
    assert any("1 pictures are of a format that is not read (such as shot_02.heic)" in note for note in notes)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_every_camera_model_of_colmap_is_understood_in_json_too(tmp_path, lens):
    numbers = [*lens.radial, *lens.divisor] if lens.model == "FULL_OPENCV" else lens.radial
    changed = {f"k{number}": value for number, value in enumerate(numbers, start=1)}
    write_transforms(tmp_path, shoot(lens, views=3), camera_model=lens.model, **changed)
    read = read_transforms(tmp_path / "transforms.json").photos[0].lens
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, size=(20, 2))
    assert read.model == lens.model
    np.testing.assert_allclose(read.image(rays), lens.image(rays))


@pytest.mark.parametrize("other", ["transforms_test.json", "transforms_val.json"])
def test_frames_beside_those_of_training_are_used_too(tmp_path, other):
    shots = shoot(views=6)
    write_transforms(tmp_path, shots)
    whole = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").unlink()
    (tmp_path / "transforms_train.json").write_text(json.dumps({**whole, "frames": whole["frames"][:4]}))
    (tmp_path / other).write_text(json.dumps({**whole, "fl_x": 99.0, "frames": whole["frames"][4:]}))
    posed = read_layout(tmp_path)
    assert [photo.lens.fx for photo in posed.photos] == [50.0] * 4 + [99.0] * 2
    assert posed.notes == (f"the frames of {other} are used with those of transforms_train.json",)
    assert tmp_path / other in posed.sources
    (tmp_path / "images" / "shot_05.png").unlink()
    assert f"frame 2 of {other} points to images/shot_05.png" in read_layout(tmp_path).notes[1]


@pytest.mark.parametrize("misfit", ["names", "size", "broken"])
def test_poses_bounds_serve_where_the_model_beside_them_does_not_fit(tmp_path, misfit):
    write_llff(tmp_path, SHOTS)
    write_colmap(tmp_path / "other", SHOTS)
    (tmp_path / "other" / "sparse").rename(tmp_path / "sparse")
    model = tmp_path / "sparse" / "0"
    if misfit == "names":
        (model / "images.txt").write_text((model / "images.txt").read_text().replace("shot_", "elsewhere_"))
    elif misfit == "size":
        (model / "cameras.txt").write_text((model / "cameras.txt").read_text().replace("64 48", "48 64"))
    else:
        (model / "cameras.txt").write_text("nothing")
    posed = read_layout(tmp_path)
    assert posed.layout.startswith("LLFF")
    assert posed.notes[-1].endswith("the poses are those of poses_bounds.npy")
