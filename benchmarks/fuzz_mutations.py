"""Mutations of files: of their bytes, and of what formats share: JSON trees, words of text, counts, sizes and names."""

import contextlib
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

FINITE = (0, 1, -1, 0.5, 1e308, -1e308, 1e-308)
NUMBERS = (*FINITE, float("nan"), float("inf"), float("-inf"), 2**31, 2**32, 2**63, 10**13, 10**400)
LONG = ("é" * 200, "a" * 5000)
MARKS = ("\0", "\ud800", "~nobody", "None", "{}", "*a", "&a x", "!!python/name:os.system")
WORDS = ("", " ", ".", "..", "nan", "inf", "-1", "1e999", "0x10", *LONG, *MARKS)
COUNTS = (0, 1, 2, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
YAML = (
    "a: &a [1,2]\nb: [*a,*a]",
    "a: &a [*a]",
    "[" * 3000,
    "seed: !!binary x",
    "? {a: 1}\n: 2",
    "seed: " + "9" * 5000,
    "x" * 70000,
    "seed: 1\n\tb: 2",
    "---\nseed: 1\n---\nseed: 2",
    "{seed: [}",
)


def mutated(file: Path, chance: random.Random, outside: Path) -> None:
    """Changes the file in one way that its kind suggests, or in its bytes.

    Args:
        file: to be changed.
        chance: what is done.
        outside: a folder that paths in the file may come to lead to.
    """
    if file.is_dir() or file.is_symlink() or not file.exists():
        return
    whole = file.read_bytes()
    ways: list[Callable[[bytes, random.Random, Path], bytes]] = [_bytes]
    if file.suffix in (".json", ".jsonl"):
        ways += [_json] * 8
    elif file.suffix in (".txt", ".yaml"):
        ways += [_text] * 6 + ([_yaml] if file.suffix == ".yaml" else [])
    elif file.suffix == ".safetensors":
        ways += [_safetensors] * 4
    elif file.suffix in (".ply", ".npy"):
        ways += [_header] * 4
    if chance.random() < 0.02:
        _another_thing(file, chance, outside)
    else:
        file.write_bytes(chance.choice(ways)(whole, chance, outside))


def _another_thing(file: Path, chance: random.Random, outside: Path) -> None:
    """A folder, a link to itself, to something else or to nothing in place of the file."""
    file.unlink()
    match chance.randrange(5):
        case 0:
            file.mkdir()
        case 1:
            file.symlink_to(file)
        case 2:
            file.symlink_to(outside / "photo.png")
        case 3:
            file.symlink_to(outside / "nothing")
        case _:
            pass


def _bytes(whole: bytes, chance: random.Random, _outside: Path) -> bytes:
    data = bytearray(whole)
    at = chance.randrange(len(data) + 1)
    match chance.randrange(8):
        case 0:
            return bytes(data[:at])
        case 1:
            return bytes(data[at:])
        case 2:
            for _ in range(chance.choice([1, 3, 30])):
                if data:
                    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case 3:
            width, code = chance.choice([(4, "<I"), (8, "<Q"), (4, ">I"), (2, "<H")])
            data[at : at + width] = struct.pack(code, chance.choice(COUNTS) % 256**width)
        case 4:
            width, code = chance.choice([(4, "<f"), (8, "<d")])
            with contextlib.suppress(OverflowError):
                data[at : at + width] = struct.pack(code, float(chance.choice(NUMBERS[:10])))
        case 5:
            data[at:at] = chance.randbytes(chance.choice([1, 8, 500]))
        case 6:
            del data[at : at + chance.choice([1, 8, 500])]
        case _:
            end = min(len(data), at + chance.choice([8, 100, 2000]))
            data[at:end] = bytes(end - at) if chance.random() < 0.5 else data[at:end] * 2
    return bytes(data)


def _json(whole: bytes, chance: random.Random, outside: Path) -> bytes:
    try:
        tree = json.loads(whole)
    except ValueError:
        return _bytes(whole, chance, outside)
    return json.dumps(_changed(tree, chance, outside)).encode()


def _changed(tree: Any, chance: random.Random, outside: Path) -> Any:
    """The tree with one of its nodes replaced, removed, doubled or renamed."""
    if not isinstance(tree, dict | list) or not tree or chance.random() < 0.05:
        return _hostile(chance, outside, tree)
    key = chance.choice(list(tree)) if isinstance(tree, dict) else chance.randrange(len(tree))
    match chance.randrange(12):
        case 0 if isinstance(tree, dict):
            return {name: value for name, value in tree.items() if name != key}
        case 0:
            return [*tree[:key], *tree[key + 1 :]]
        case 1 if isinstance(tree, dict):
            return tree | {chance.choice(WORDS): tree[key]}
        case 1:
            return [*tree, tree[key]]
        case _:
            new = _changed(tree[key], chance, outside)
            return {**tree, key: new} if isinstance(tree, dict) else [*tree[:key], new, *tree[key + 1 :]]


def _hostile(chance: random.Random, outside: Path, value: Any) -> Any:
    if isinstance(value, str) and chance.random() < 0.5:
        return chance.choice(_names(value, outside))
    return chance.choice([None, True, [], {}, [[]], {"a": 1}, [value] * 3, *NUMBERS, *WORDS])


def _names(name: str, outside: Path) -> list[str]:
    """Other spellings of a name, and ways out of the folder."""
    return [
        str(outside / "photo.png"),
        f"../../../{outside.name}/photo.png",
        f"/{name}",
        f"../{name}",
        f"{name}/..",
        f"./{name}",
        name.upper(),
        name.replace("/", "\\"),
        name * 50,
        f"{name}\0",
        name.rpartition(".")[0],
    ]


def _text(whole: bytes, chance: random.Random, outside: Path) -> bytes:
    lines = whole.decode("utf-8", "surrogateescape").split("\n")
    at = chance.randrange(len(lines))
    words = lines[at].split(" ")
    match chance.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[chance.randrange(len(lines))])
        case 2:
            lines[at] = ""
        case _:
            place = chance.randrange(len(words))
            words[place] = str(_hostile(chance, outside, words[place]))
            lines[at] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _yaml(whole: bytes, chance: random.Random, _outside: Path) -> bytes:
    return chance.choice(YAML).encode() if chance.random() < 0.5 else whole + b"\n" + chance.choice(YAML).encode()


def _safetensors(whole: bytes, chance: random.Random, outside: Path) -> bytes:
    if len(whole) < 8:
        return _bytes(whole, chance, outside)
    (length,) = struct.unpack("<Q", whole[:8])
    head = _json(whole[8 : 8 + length], chance, outside)
    return struct.pack("<Q", len(head)) + head + whole[8 + length :]


def _header(whole: bytes, chance: random.Random, outside: Path) -> bytes:
    """Words of the header, which both formats have as text."""
    head, end, rest = whole.partition(b"end_header\n") if whole.startswith(b"ply") else (whole[10:128], b"", whole[128:])
    start = b"" if end else whole[:10]
    changed = _text(head, chance, outside) if end else _array_header(head, chance)
    return start + changed + end + rest


def _array_header(head: bytes, chance: random.Random) -> bytes:
    words = [b"<f8", b"(4, 17)", b"False", b"'shape'", b"{", b"17"]
    new = [b"|O", b"<U8", b"(1000000000000, 17)", b"(-1, 17)", b"(4,)", b"()", b"True", b"x", b"((((", b"1" * 30]
    return head.replace(chance.choice(words), chance.choice(new)).ljust(len(head))[: len(head)]
