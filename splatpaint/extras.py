"""Packages that need a hand before they can be imported."""

import ctypes
import sys
from types import ModuleType


def import_open3d() -> ModuleType:
    """The open3d module.

    open3d links against libusb (for depth cameras), which bare Linux machines lack. The libusb_package wheel carries one; once
    that is loaded with its symbols made global, the dynamic linker is content with it.
    """
    if "open3d" not in sys.modules and sys.platform == "linux":
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    import open3d

    return open3d
