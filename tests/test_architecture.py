"""Imports only point down."""

import ast
from collections.abc import Iterator
from pathlib import Path

import splatpaint

LAYERS = [
    {"errors", "extras", "atomic", "streams", "config", "_kernels"},
    {"image"},
    {"scene"},
    {"events"},
    {"render", "priors", "capture", "formats"},
    {"masks", "objectives"},
    {"fit", "evaluation"},
    {"fill"},
    {"stages"},
    {"viewer", "batch"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY_AT_HOME = {
    "pycolmap": {"capture"},
    "diffusers": {"priors"},
    "transformers": {"priors"},
    "peft": {"priors"},
    "accelerate": {"priors", "batch"},
    "gsplat": {"render", "fit"},
    "open3d": {"scene", "masks", "extras"},
    "lpips": {"image"},
    "kornia": {"image"},
    "viser": {"viewer"},
    "click": {"cli"},
    "rich": {"cli"},
}
PACKAGE = Path(splatpaint.__file__).parent


def modules() -> Iterator[tuple[str, str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], "/".join(parts), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield f"{node.module}"
            if node.module == "splatpaint":
                yield from (f"splatpaint.{alias.name}" for alias in node.names)


def test_every_module_has_a_layer():
    assert {top for top, _, _ in modules()} <= set(LEVEL)


def test_imports_only_point_down():
    upward = []
    for top, name, tree in modules():
        for target in imported(tree):
            pieces = target.split(".")
            if pieces[0] != "splatpaint" or len(pieces) < 2 or pieces[1] not in LEVEL:
                continue
            below = LEVEL[pieces[1]] < LEVEL[top]
            same_package = pieces[1] == top
            same_ground_layer = LEVEL[top] == 0 == LEVEL[pieces[1]]
            if not (below or same_package or same_ground_layer):
                upward.append(f"{name} imports {target}")
    assert not upward, upward


def test_heavy_packages_stay_where_they_belong():
    strays = [
        f"{name} imports {target}"
        for top, name, tree in modules()
        for target in imported(tree)
        if target.split(".")[0] in HEAVY_AT_HOME and top not in HEAVY_AT_HOME[target.split(".")[0]]
    ]
    assert not strays, strays
