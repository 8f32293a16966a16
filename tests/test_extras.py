from splatpaint.extras import import_open3d


def test_open3d_can_be_imported_and_used_without_a_system_libusb():
    open3d = import_open3d()
    mesh = open3d.geometry.TriangleMesh.create_box(1.0, 2.0, 3.0)
    assert mesh.get_volume() == 6.0
    assert import_open3d() is open3d
