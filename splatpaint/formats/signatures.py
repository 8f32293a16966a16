"""What a file is by its first bytes, whatever it is called."""

from pathlib import Path

SIGNATURES = {
    b"ply\n": ".ply",
    b"ply\r\n": ".ply",
    b"NGSP": ".spz",
    b"\x1f\x8b": ".spz",
    b"PK\x03\x04": ".sog",
    b"glTF": ".glb",
    b"\x89PNG": "picture",
    b"\xff\xd8\xff": "picture",
    b"%PDF": ".pdf",
    b"version https://git-lfs": "Git LFS pointer",
}
"""First bytes of the formats that have any, and of what is found under wrong names."""
HEAD = 32
"""Bytes that are looked at."""


def kind_of(path: Path) -> str | None:
    """The suffix or kind that the first bytes tell, None if they tell nothing.

    Raises:
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return ".safetensors"
    return next((kind for start, kind in SIGNATURES.items() if head.startswith(start)), None)
