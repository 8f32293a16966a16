import pickle
import struct

import numpy as np
import pytest

from splatpaint.capture.llff import read_llff
from splatpaint.capture.sparse_model import read_points
from splatpaint.errors import CaptureError
from splatpaint.image.files import write_image
from tests.support.captures import shoot, write_llff, write_photos

SHOTS = shoot()


def points_text(points: np.ndarray) -> str:
    rows = [f"{number} {x} {y} {z} 1 2 3 0.5 1 0 2 0 3 0" for number, (x, y, z) in enumerate(points.tolist())]
    return "# points\n" + "\n".join(rows)


def points_binary(points: np.ndarray) -> bytes:
    rows = [struct.pack("<Q3d3BdQ6i", n, *place, 1, 2, 3, 0.5, 3, 1, 0, 2, 0, 3, 0) for n, place in enumerate(points.tolist())]
    return struct.pack("<Q", len(rows)) + b"".join(rows)


def test_poses_are_what_was_written_and_the_focal_length_follows_the_reduction(tmp_path):
    posed = read_llff(write_llff(tmp_path, SHOTS, solved_scale=4))
    for photo, expected in zip(posed.photos, SHOTS.cam_from_world, strict=True):
        np.testing.assert_allclose(photo.cam_from_world, expected, atol=1e-9)
        assert (photo.lens.fx, photo.lens.fy, photo.lens.cx, photo.lens.cy) == pytest.approx((50, 50, 32, 24))


def test_the_least_reduced_folder_with_all_photos_is_used(tmp_path):
    write_llff(tmp_path, SHOTS, images="images_8")
    write_photos(tmp_path / "images_4", SHOTS)
    (tmp_path / "images").mkdir()
    assert read_llff(tmp_path).image_folder.name == "images_4"


def test_masks_in_a_label_folder_are_no_photos(tmp_path):
    write_llff(tmp_path, SHOTS)
    write_image(tmp_path / "images_2" / "label" / "shot_00.png", SHOTS.images[0])
    assert len(read_llff(tmp_path).photos) == 5


@pytest.mark.parametrize("where", ["points3D.txt", "sparse/0/points3D.txt", "sparse/0/points3D.bin"])
def test_points_that_the_photos_see_are_used(tmp_path, where):
    write_llff(tmp_path, SHOTS)
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    data = points_binary(SHOTS.points) if where.endswith("bin") else points_text(SHOTS.points).encode()
    (tmp_path / where).write_bytes(data)
    posed = read_llff(tmp_path)
    np.testing.assert_allclose(posed.points.positions, SHOTS.points)
    assert posed.points.colors[0].tolist() == [1, 2, 3]


def test_points_of_another_frame_are_left_aside(tmp_path):
    write_llff(tmp_path, SHOTS)
    (tmp_path / "points3D.txt").write_text(points_text(-SHOTS.points))
    posed = read_llff(tmp_path)
    assert posed.points is None
    (note,) = posed.notes
    assert note.startswith("the points of points3D.txt do not fit the poses (0% of them lie in the frame of two photos)")


def test_a_count_that_differs_is_explained(tmp_path):
    write_llff(tmp_path, SHOTS)
    (tmp_path / "images_2" / "shot_00.png").unlink()
    with pytest.raises(CaptureError, match=r"lists 5 poses but images_2 has 4 images"):
        read_llff(tmp_path)


def test_missing_photos_are_explained(tmp_path):
    write_llff(tmp_path, SHOTS)
    (tmp_path / "images_2").rename(tmp_path / "elsewhere")
    with pytest.raises(CaptureError, match="there is no images folder"):
        read_llff(tmp_path)


def test_nan_is_named_with_its_photo(tmp_path):
    write_llff(tmp_path, SHOTS)
    rows = np.load(tmp_path / "poses_bounds.npy")
    rows[2, 3] = np.nan
    np.save(tmp_path / "poses_bounds.npy", rows)
    with pytest.raises(CaptureError, match=r"pose 3 of poses_bounds\.npy \(shot_02\.png\).*NaN"):
        read_llff(tmp_path)


def test_an_image_size_of_zero_is_named(tmp_path):
    write_llff(tmp_path, SHOTS)
    rows = np.load(tmp_path / "poses_bounds.npy")
    rows[1, 4] = 0
    np.save(tmp_path / "poses_bounds.npy", rows)
    with pytest.raises(
        CaptureError, match=r"pose 2 of .* no usable image height, width and focal length \(0\.0, 128\.0, 100\.0 px\)"
    ):
        read_llff(tmp_path)


def test_another_shape_is_refused(tmp_path):
    write_llff(tmp_path, SHOTS)
    np.save(tmp_path / "poses_bounds.npy", np.zeros((5, 15)))
    with pytest.raises(CaptureError, match=r"shape \(5, 15\) .* expected \(photos, 17\)"):
        read_llff(tmp_path)


def test_a_file_that_is_not_numpy_is_refused(tmp_path):
    write_llff(tmp_path, SHOTS)
    (tmp_path / "poses_bounds.npy").write_text("poses")
    with pytest.raises(CaptureError, match=r"poses_bounds\.npy is not a numpy file"):
        read_llff(tmp_path)


def test_a_truncated_points_file_is_named(tmp_path):
    file = tmp_path / "points3D.bin"
    file.write_bytes(points_binary(SHOTS.points)[:-50])
    with pytest.raises(CaptureError, match=r"cannot be read \(points3D\.bin"):
        read_points(file)


def npy(shape: str, kind: str = "<f8", data: bytes = bytes(17 * 8 * 5), order: str = "False") -> bytes:
    head = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


HOSTILE = {
    "counts that lie": npy("(1000000000000, 17)"),
    "counts beyond numbers": npy("(" + "9" * 400 + ", 17)"),
    "a negative count": npy("(-5, 17)"),
    "objects": npy("(5, 17)", "|O", pickle.dumps([1])),
    "text": npy("(5, 17)", "<U8"),
    "fields": npy("(5, 17)", [("a", "<f8")]),
    "one axis": npy("(85,)"),
    "no axis": npy("()"),
    "too little": npy("(5, 17)", data=bytes(100)),
    "a header that is none": npy("(5, 17").replace(b"'descr'", b"__import"),
    "a deep header": npy("(" * 5000 + "5" + ")" * 5000),
    "an archive": None,
    "nothing": b"",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_arrays_that_are_no_poses_are_refused_without_their_memory(tmp_path, kind):
    root = write_llff(tmp_path, shoot())
    if kind == "an archive":
        with open(root / "poses_bounds.npy", "wb") as file:
            np.savez(file, a=np.zeros((5, 17)))
    else:
        (root / "poses_bounds.npy").write_bytes(HOSTILE[kind])
    with pytest.raises(CaptureError, match=r"poses_bounds\.npy"):
        read_llff(root)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4"])
def test_poses_are_read_in_every_order_and_precision(tmp_path, kind):
    root = write_llff(tmp_path, shoot())
    expected = [photo.cam_from_world for photo in read_llff(root).photos]
    rows = np.load(root / "poses_bounds.npy")
    for order in ("C", "F"):
        np.save(root / "poses_bounds.npy", np.asarray(rows, dtype=kind, order=order))
        got = [photo.cam_from_world for photo in read_llff(root).photos]
        np.testing.assert_allclose(got, expected, atol=1e-5)
