from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatpaint.capture import CaptureConfig, inspect, load_capture
from splatpaint.capture.mask_set import read_set
from splatpaint.capture.posed import Photo
from splatpaint.errors import MaskError
from splatpaint.image.files import read_mask
from tests.support.captures import PINHOLE, shoot, write_colmap, write_masks

SHOTS = shoot()
DAVIS = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128, 64, 0, 0]
W, H = 64, 48


def photo(name: str, *, size: tuple[int, int] = (W, H)) -> Photo:
    return Photo(name, Path(f"{name}.png"), PINHOLE.rescaled(*size), np.eye(4))


def labels(*areas: tuple[int, int, int]) -> np.ndarray:
    """Zeros, but for a value in the columns from one to another."""
    drawn = np.zeros((H, W), dtype=np.uint8)
    for value, left, right in areas:
        drawn[:, left:right] = value
    return drawn


def written(folder: Path, *masks: np.ndarray | Image.Image, suffix: str = ".png") -> dict[str, Path]:
    files = {}
    for number, mask in enumerate(masks):
        files[str(number)] = folder / f"{number}{suffix}"
        (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(files[str(number)])
    return files


def columns(files: dict[str, Path], value="auto") -> list[list[int]]:
    """The columns that every mask of the set marks."""
    masks = read_set(files, value)
    return [np.flatnonzero(masks.of(photo(name))[0].numpy().all(axis=0)).tolist() for name in files]


def span(*ends: tuple[int, int]) -> list[int]:
    return [column for left, right in ends for column in range(left, right)]


def palette(mask: np.ndarray, colors: list[int]) -> Image.Image:
    picture = Image.fromarray(mask, mode="P")
    picture.putpalette(colors + [0] * (768 - len(colors)))
    return picture


@pytest.mark.parametrize("white", [1, 255, 254, 128, 8])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_zero_and_one_other_value_are_black_and_white(tmp_path, white, kind):
    files = written(tmp_path, labels((white, 0, 16)).astype(kind), labels().astype(kind), labels((white, 8, 9)).astype(kind))
    assert columns(files) == [span((0, 16)), [], [8]]
    assert columns(files, "black") == [span((16, W)), span((0, W)), span((0, 8), (9, W))]


def test_a_one_bit_mask_is_black_and_white(tmp_path):
    assert columns(written(tmp_path, Image.fromarray(labels((255, 3, 9))).convert("1"))) == [span((3, 9))]


def test_a_speck_of_one_among_zeros_is_not_white_where_white_is_255(tmp_path):
    speck = labels()
    speck[20, 5] = 1
    files = written(tmp_path, labels((255, 0, 16)), labels((255, 8, 16)), speck)
    assert read_set(files, "auto").of(photo("2")).sum() == 0


@pytest.mark.parametrize("second", [2, 7, 100])
def test_an_object_stays_marked_where_another_appears(tmp_path, second):
    files = written(tmp_path, labels((1, 0, 16)), labels((1, 0, 16), (second, 40, 50)), labels((1, 0, 16)))
    assert columns(files) == [span((0, 16)), span((0, 16), (40, 50)), span((0, 16))]
    assert columns(files, (1,)) == [span((0, 16))] * 3
    assert columns(files, (second,)) == [[], span((40, 50)), []]
    assert columns(files, (1, second)) == columns(files)


def test_what_several_objects_mark_is_said_with_the_way_to_choose(tmp_path):
    files = written(tmp_path, labels((1, 0, 16), (8, 20, 24)))
    assert read_set(files, "auto").counts == "any of the objects 1, 8 (--mask-id chooses)"
    assert read_set(files, (8,)).counts == "the object 8"


@pytest.mark.parametrize("ids", [(1, 8), (1, 2), (8,), (7, 1)])
def test_the_index_of_a_palette_counts_and_not_its_color(tmp_path, ids):
    areas = [(number, 10 * place, 10 * place + 10) for place, number in enumerate(ids)]
    files = written(tmp_path, *(palette(labels(area), DAVIS) for area in areas))
    assert columns(files) == [span(area[1:]) for area in areas]
    assert columns(files, ids[:1]) == [span(areas[0][1:]), *([] for _ in ids[1:])]


@pytest.mark.parametrize("colors", [[0, 0, 0, 255, 255, 255], [255, 255, 255, 0, 0, 0]])
def test_black_and_white_stay_what_they_are_in_a_palette(tmp_path, colors):
    white = 1 if colors[0] == 0 else 0
    drawn = labels((1, 0, 16)) if white == 1 else 1 - labels((1, 0, 16))
    assert columns(written(tmp_path, palette(drawn, colors))) == [span((0, 16))]


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (90, 30, 200)])
def test_cutouts_count_by_alpha_alone(tmp_path, color):
    cutout = np.zeros((H, W, 4), dtype=np.uint8)
    cutout[..., :3] = color
    cutout[:, :16, 3] = 255
    empty = cutout.copy()
    empty[..., 3] = 0
    full = cutout.copy()
    full[..., 3] = 255
    files = written(tmp_path, cutout, empty, full)
    assert columns(files) == [span((0, 16)), [], span((0, W))]
    assert columns(files, "black")[0] == span((16, W))


def test_alpha_that_is_opaque_everywhere_does_not_count(tmp_path):
    drawn = np.full((H, W, 4), 255, dtype=np.uint8)
    drawn[:, 16:, :3] = 0
    assert columns(written(tmp_path, drawn)) == [span((0, 16))]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_soft_edges_are_cut_in_the_middle(tmp_path, suffix):
    soft = np.repeat(np.linspace(0, 255, W).astype(np.uint8)[None], H, axis=0)
    (marked,) = columns(written(tmp_path, soft, suffix=suffix))
    assert abs(len(marked) - W // 2) <= 1


def test_colors_mark_and_black_does_not(tmp_path):
    drawn = np.zeros((H, W, 3), dtype=np.uint8)
    drawn[:, :8], drawn[:, 8:16] = (64, 0, 0), (0, 0, 128)
    assert columns(written(tmp_path, drawn)) == [span((0, 16))]
    with pytest.raises(MaskError, match=r"0\.png marks by color or transparency, not by numbers .*: leave --mask-id out"):
        columns(written(tmp_path, drawn), (64,))


def test_an_object_that_no_mask_holds_is_refused(tmp_path):
    with pytest.raises(MaskError, match="no mask holds an object 3: they hold 1, 2"):
        read_set(written(tmp_path, labels((1, 0, 4)), labels((2, 0, 4))), (1, 3))


@pytest.mark.parametrize(("size", "expected"), [((128, 96), 32), ((32, 24), 8)])
def test_masks_get_the_size_of_their_photo(tmp_path, size, expected):
    mask = read_set(written(tmp_path, labels((255, 0, 16))), "white").of(photo("0", size=size))
    assert mask.shape == (1, size[1], size[0])
    assert mask[0, 0].sum() == expected


def test_a_mask_of_another_shape_is_refused(tmp_path):
    with pytest.raises(MaskError, match=r"0\.png is 40x64 but its photo is 64x48"):
        read_set(written(tmp_path, labels((255, 0, 16)).T[:, :40].copy()), "white").of(photo("0"))


def test_a_photo_without_a_mask_has_none(tmp_path):
    assert read_set(written(tmp_path, labels()), "white").of(photo("other")) is None


def test_objects_are_chosen_in_a_capture_and_info_says_what_share_they_mark(tmp_path):
    write_colmap(tmp_path, SHOTS)
    for number, name in enumerate(SHOTS.names):
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(labels((3, 0, 16), *[(5, 40, 48)] * (number % 2))).save(tmp_path / "masks" / f"{name}.png")
    chosen = CaptureConfig(mask_value=(3,))
    capture = load_capture(tmp_path, chosen, cache=tmp_path / "cache")
    assert [read_mask(view.fill_mask).mean().item() for view in capture.views] == [0.25] * 5
    assert inspect(tmp_path, chosen).notes[-1] == "the masks mark 25.0% of the pixels on average (filled: the object 3)"
    both = inspect(tmp_path, CaptureConfig()).notes[-1]
    assert both.startswith("the masks mark 30.0% of the pixels on average (filled: any of the objects 3, 5")


@pytest.mark.parametrize(("share", "message"), [(0.0, "all 5 masks in .*masks are empty"), (1.0, "edge to edge")])
def test_info_refuses_what_fit_would(tmp_path, share, message):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, share=share)
    with pytest.raises(MaskError, match=message):
        inspect(tmp_path, CaptureConfig())
