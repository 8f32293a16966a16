"""Imports only point down, heavy packages stay in few places, and nothing is there for tests alone."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import splatpaint

LAYERS = [
    {"errors", "extras", "atomic", "reading", "streams", "config", "_kernels"},
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
    "open3d": {"masks", "extras"},
    "lpips": {"image"},
    "kornia": {"image"},
    "viser": {"viewer"},
    "zstandard": {"formats"},
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


STAGES = {"reconstruct", "remove", "customize", "inpaint", "export", "evaluate", "pictures"}
COMPOSERS = {"run", "config"}
"""`run` calls the stages one after the other, and `config` puts their settings together."""


def test_no_stage_but_run_imports_a_stage():
    siblings = [
        f"{name} imports {target}"
        for top, name, tree in modules()
        for target in imported(tree)
        if top == "stages" and name.split("/")[1] not in COMPOSERS
        for other in STAGES - {name.split("/")[1]}
        if target.startswith(f"splatpaint.stages.{other}")
    ]
    assert not siblings, siblings
    assert {name.split("/")[1] for top, name, _ in modules() if top == "stages"} >= STAGES | COMPOSERS


def test_heavy_packages_stay_where_they_belong():
    strays = [
        f"{name} imports {target}"
        for top, name, tree in modules()
        for target in imported(tree)
        if target.split(".")[0] in HEAVY_AT_HOME and top not in HEAVY_AT_HOME[target.split(".")[0]]
    ]
    assert not strays, strays


NOT_CALLED_BY_NAME = {
    "invoke": "click calls it (cli/app.py)",
    "compose_node": "PyYAML calls it (config.py)",
    "construct_mapping": "PyYAML calls it (config.py)",
    "train_codec": "click collects it (cli/commands/prior.py)",
    "look_at": "camera poses for scripts and notebooks (scene/camera.py)",
    "load_capture": "a capture for scripts and notebooks (capture/preparation.py)",
}
"""Public names that nothing in the package mentions, and why they are in it all the same."""


def definitions(tree: ast.Module) -> Iterator[tuple[str, range]]:
    """Public functions, classes, methods and constants of a module, and the lines of their definition."""
    methods = [part for item in tree.body if isinstance(item, ast.ClassDef) for part in item.body]
    for node in [*tree.body, *methods]:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets) if node in tree.body:
                names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)) if node in tree.body:
                names = [name]
            case _:
                names = []
        yield from ((name, range(node.lineno, (node.end_lineno or 0) + 1)) for name in names if not name.startswith("_"))


def uses(path: Path) -> Iterator[tuple[str, int]]:
    """Names that a module refers to or imports, and their lines; imports of an `__init__`, which re-exports, do not count."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name, node.lineno
            case ast.ImportFrom(names=names) if path.name != "__init__.py":
                yield from ((alias.name, node.lineno) for alias in names)


def test_nothing_in_the_package_is_used_by_tests_and_benchmarks_alone():
    used: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for name, line in uses(path):
            used[name].append((path, line))
    unused = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, own in definitions(ast.parse(path.read_text()))
        if name not in NOT_CALLED_BY_NAME and all(file == path and line in own for file, line in used[name])
    ]
    assert not unused, "\n".join(unused)


def test_no_pickle_is_ever_loaded():
    """Pickles run what they like; torch's files are read as plain tensors, numpy's arrays are never objects."""
    loads = []
    for _, name, tree in modules():
        assert not {"pickle", "shelve", "dill", "joblib", "marshal"} & set(imported(tree)), name
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=keywords):
                    given = {word.arg: ast.unparse(word.value) for word in keywords}
                    loads.append(name)
                    assert given.get("weights_only") == "True", f"{name} reads a pickle"
                case ast.keyword(arg="allow_pickle"):
                    raise AssertionError(f"{name} allows pickles")
                case _:
                    pass
    assert "reading" in loads
