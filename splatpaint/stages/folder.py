"""One folder a run: what was asked, what happened, what came out.

    config.yaml     the resolved config
    capture.json    where the capture is and what it looked like
    events.jsonl    what the stages said, one JSON object a line
    metrics.json    measured numbers by stage
    capture/ locate/ reconstruct/ remove/ customize/ inpaint/ pictures/      products, one folder a stage

Files that others read while we write (all but events.jsonl) appear whole or not at all, so a run can be killed at any moment.
"""

import dataclasses
import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, TypeVar, get_args

from splatpaint import reading
from splatpaint.atomic import is_leftover, remove_leftovers, write_text
from splatpaint.config import Tree, differences, dump, from_tree, load_tree, parse
from splatpaint.errors import CaptureError, ConfigError, RunError
from splatpaint.events import Event, Events, Measured, Progressed, SceneChanged
from splatpaint.reading import UnreadableError

Config = TypeVar("Config")
Product = TypeVar("Product")
SplatStage = Literal["locate", "reconstruct", "remove", "inpaint"]
"""The stages whose product is a set of splats, in order."""

LOG_PROGRESS_EVERY_S = 2.0
"""Progress comes many times a second; a line every two seconds is enough to plot a loss by."""
HASHED_AT_ONCE = 4
"""Files that are read side by side for the fingerprint; hashing leaves the interpreter to others."""


class RunFolder:
    """An open run. Make one with `RunFolder.open` (to work in it) or `RunFolder.read` (to look at its products).

    Attributes:
        path: the folder.
        capture: absolute path of the capture.
    """

    def __init__(self, path: Path, capture: Path, lock: IO[str] | None) -> None:
        self.path = path
        self.capture = capture
        self._lock = lock
        self._logged_at = -math.inf

    @classmethod
    def open(cls, path: Path, capture: Path, config: Any, *, files: Iterable[Path], resume: bool = False) -> "RunFolder":
        """Creates the run, or opens the one of the same capture and config; no other process can then open it.

        Args:
            path: the run folder; made if it does not exist.
            capture: the capture folder.
            config: the resolved config, a frozen dataclass.
            files: what the run is made of, see `capture.inputs`: if they change, it is of another capture.
            resume: whether an unfinished run may be continued. A finished one can always be opened: its stages skip.

        Raises:
            CaptureError: if there is no capture folder.
            RunError: if the folder cannot be written, is in use, holds other things, a run of another capture or config, or an
                unfinished run that was not asked for.
        """
        if not capture.is_dir():
            raise CaptureError(f"the capture {capture} is not a folder; give the folder that holds the images and their poses")
        _refuse_strangers(path)
        identity = {"path": str(capture.resolve()), "fingerprint": fingerprint(capture, files)}
        folder = cls(path, capture.resolve(), _locked(path))
        try:
            remove_leftovers(path)
            if folder._begun:
                folder._refuse_another(identity, config)
                if not (resume or folder.finished):
                    raise RunError(
                        f"{path} holds an unfinished run of this capture and config: add --resume to continue it, "
                        "or choose another folder"
                    )
            write_whole(path / "capture.json", json.dumps(identity, indent=2) + "\n")
            write_whole(path / "config.yaml", dump(config))
        except BaseException:
            folder.__exit__(None, None, None)
            raise
        return folder

    @classmethod
    def read(cls, path: Path) -> "RunFolder":
        """An existing run, to look at.

        Raises:
            RunError: if the folder is not a run.
        """
        if not is_run(path):
            raise RunError(f"{path} is not a run folder: give the folder that `splatpaint fit -o` made")
        return cls(path, Path(_identity(path)["path"]), None)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._lock:
            self._lock.close()

    @property
    def finished(self) -> bool:
        """Whether the last stage's product is there."""
        return self.splats("inpaint").exists()

    @property
    def _begun(self) -> bool:
        """Whether there is anything that took work. Before that a run can be started anew: with a mended capture, say."""
        return is_run(self.path) and any((self.path / stage).exists() for stage in get_args(SplatStage))

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Everything recorded so far, by stage.

        Raises:
            RunError: if the file is damaged.
        """
        file = self.path / "metrics.json"
        metrics = read_json(file) if file.exists() else {}
        stages = list(metrics.values()) if isinstance(metrics, dict) else [metrics]
        if not all(isinstance(each, dict) for each in stages) or not all(
            value is None or isinstance(value, int | float) for each in stages for value in each.values()
        ):
            raise damaged(file, "it holds no numbers by stage")
        return metrics

    def config(self, cls: type[Config]) -> Config:
        """The run's config.

        Raises:
            RunError: if it is damaged, or was written by a version of splatpaint with other settings.
        """
        tree = self._tree()
        if not tree:  # a run writes every setting
            raise damaged(self.path / "config.yaml", "it is empty")
        try:
            return from_tree(cls, tree)
        except ConfigError as error:
            raise RunError(
                f"{self.path} was made by another version of splatpaint ({error}): start the run again in another folder"
            ) from error

    def stage(self, name: str) -> Path:
        """The folder of a stage's products, made if need be.

        Raises:
            RunError: if it cannot be made, or is a link, by which products would lie elsewhere.
        """
        folder = self.path / name
        if folder.is_symlink():
            raise RunError(f"{folder} is a link, but a run keeps everything in its own folder: remove the link")
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder} cannot be made ({error.strerror}): check the folder's permissions") from error
        return folder

    def splats(self, stage: SplatStage) -> Path:
        """Where the stage keeps the splats it made; the file exists if and only if the stage is done."""
        return self.path / stage / "splats.safetensors"

    def product(self, stage: SplatStage) -> Path:
        """The stage's splats, which exist.

        Raises:
            RunError: if the stage is not done.
        """
        splats = self.splats(stage)
        if not splats.exists():
            raise RunError(f"{self.path} has no splats of the stage {stage!r} yet: continue it with --resume")
        return splats

    def logged(self, events: Events[Product]) -> Events[Product]:
        """The same events and product, every event also logged."""
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                return stop.value
            self.log(event)
            yield event

    def log(self, event: Event) -> None:
        """Appends the event to events.jsonl (of progress, a line every few seconds); measurements also go to metrics.json."""
        if isinstance(event, SceneChanged):
            return
        if isinstance(event, Progressed) and event.done < event.total:
            if time.monotonic() - self._logged_at < LOG_PROGRESS_EVERY_S:
                return
            self._logged_at = time.monotonic()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json.dumps({"time": stamp, "event": type(event).__name__, **plain(dataclasses.asdict(event))})
        with open(self.path / "events.jsonl", "a+b", opener=_not_a_link) as file:
            file.write(b"\n" * _is_torn(file) + line.encode() + b"\n")
        if isinstance(event, Measured):
            self.record(event.stage, event.values)

    def record(self, stage: str, values: Mapping[str, float | int]) -> None:
        """Adds numbers to the stage's part of metrics.json; a name that is there already is replaced."""
        metrics = self.metrics
        metrics[stage] = {**metrics.get(stage, {}), **plain(dict(values))}
        write_whole(self.path / "metrics.json", json.dumps(metrics, indent=2) + "\n")

    def _tree(self) -> Tree:
        try:
            return load_tree(self.path / "config.yaml")
        except ConfigError as error:
            raise damaged(self.path / "config.yaml", str(error)) from error

    def _refuse_another(self, identity: Mapping[str, str], config: Any) -> None:
        before = _identity(self.path)
        if before["fingerprint"] != identity["fingerprint"]:
            what = f"of {before['path']}, not {identity['path']}"
            if before["path"] == identity["path"]:
                what = f"of {identity['path']} as it was before its files changed"
            raise RunError(f"{self.path} holds a run {what}: choose another folder, or delete this one")
        self.config(type(config))  # a run of another version has other settings
        changed = differences(self._tree(), parse(dump(config)))
        if changed:
            shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise RunError(f"{self.path} holds a run with another config ({shown}): choose another folder, or delete this one")


def is_run(folder: Path) -> bool:
    """Whether a run was made in this folder."""
    return (folder / "capture.json").is_file() and (folder / "config.yaml").is_file()


def fingerprint(capture: Path, files: Iterable[Path]) -> str:
    """32 hexadecimal digits that change when there are more or fewer files, or one has another name or content.

    Args:
        capture: files in this folder are named from here, so that it can be moved.
        files: that are there, by any path.
    """
    named = sorted({_name_from(capture, file): file for file in files}.items())
    total = hashlib.blake2b(digest_size=16)
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        for (name, _), content in zip(named, pool.map(_content_digest, (file for _, file in named)), strict=True):
            total.update(os.fsencode(name) + b"\0" + content)
    return total.hexdigest()


def _content_digest(file: Path) -> bytes:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, hashlib.blake2b).digest()


def _name_from(folder: Path, file: Path) -> str:
    """The file's path from the folder, whole if it lies elsewhere, however the two are spelled; a link has its own name."""
    whole = file.parent.resolve() / file.name
    for path, root in ((file, folder), (whole, folder.resolve())):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return whole.as_posix()


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is there whole or not at all.

    Raises:
        RunError: if it cannot be written.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}): choose a folder that can, or make room") from error


def _refuse_strangers(path: Path) -> None:
    if path.is_dir() and not is_run(path):
        names = sorted(entry.name for entry in path.iterdir())
        strangers = [name for name in names if name not in (".lock", "capture.json") and not is_leftover(name)]
        if strangers:
            raise RunError(f"{path} is not a run folder and not empty (it holds {strangers[0]}): choose another folder")


def _locked(path: Path) -> IO[str]:
    """The run's lock, held until it is closed or the process ends, however it ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / ".lock", "a+", opener=_not_a_link)  # noqa: SIM115 - open is how it is held
    except OSError as error:
        raise RunError(f"the run folder {path} cannot be written ({error.strerror}): choose a folder that can") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RunError(f"another splatpaint is working in {path}: wait for it, or choose another folder") from error
    except OSError as error:
        lock.close()
        raise RunError(f"{path} is on a disk that knows no locks ({error.strerror}): choose a folder on another") from error
    return lock


def _not_a_link(path: str, flags: int) -> int:
    """An `opener` that refuses a link, by which something outside the run folder would be written."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _is_torn(file: IO[bytes]) -> bool:
    """Whether a killed process left the last line unfinished."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def plain(value: Any) -> Any:
    """What JSON can say: paths as text, numbers that are not finite as null."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case float() if not math.isfinite(value):
            return None
        case Path():
            return str(value)
        case _:
            return value


def read_json(path: Path) -> Any:
    """What the JSON file of a run says.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        return reading.read_json(path)
    except UnreadableError as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, reason: str) -> RunError:
    """The error for a file of a run that is not what a run writes."""
    return RunError(f"{path} cannot be read ({reason}): the run is damaged, start it again in another folder")


def _identity(run: Path) -> dict[str, str]:
    """Path and fingerprint of the capture that a run is of."""
    file = run / "capture.json"
    identity = read_json(file)
    if not isinstance(identity, dict) or not all(isinstance(identity.get(key), str) for key in ("path", "fingerprint")):
        raise damaged(file, "it names no capture")
    return identity
