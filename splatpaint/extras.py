"""Imports of packages that need preparation."""

import ctypes
import sys
from types import ModuleType


def import_open3d() -> ModuleType:
    """The open3d module.

    open3d links against libusb (for depth cameras), which minimal Linux installations lack. The libusb_package
    wheel contains it; the dynamic linker accepts that copy once it is loaded with global symbols.
    """
    if "open3d" not in sys.modules and sys.platform == "linux":
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    import open3d

    return open3d
