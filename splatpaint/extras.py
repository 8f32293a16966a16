"""Packages that need a hand before they can be imported."""

import ctypes
import signal
import sys
import threading
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


def import_pycolmap() -> ModuleType:
    """The pycolmap module.

    It would have a termination print a stack trace and end the process; who heard the signal before hears it again.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if threading.current_thread() is threading.main_thread():  # only there may handlers be set, and only there are they called
        signal.signal(signal.SIGTERM, before)
    return pycolmap
