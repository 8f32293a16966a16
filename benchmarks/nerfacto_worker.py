"""Fits nerfstudio's nerfacto for a given time and draws it; runs in nerfstudio's own environment (see nerfacto.py).

    python nerfacto_worker.py FOLDER --poses FILE -o OUT --seconds 120 --draw NAME ... [--rays 2048] [--seed 0]

FOLDER is a capture with transforms.json (pinhole cameras, images/). Model, losses, proposal network schedule, learning rates
and scene scaling are nerfacto's own; only the fall of the learning rate is fitted to the seconds. Camera poses are not refined,
since every method of the benchmarks is given the same ones. Draws the cameras of --poses (a transforms.json too) into OUT as
NAME.png and NAME.npy (z-depth in FOLDER's units) and writes OUT/fitted.json last.
"""

# ruff: noqa: E402
import argparse
import contextlib
import importlib.util
import json
import random
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch

# nerfstudio imports torchvision and LPIPS for metrics that are not taken here. Where torchvision cannot load beside this torch
# (a CUDA build of one, a processor build of the other), its operators need names and its LPIPS a stand-in.
operators = torch.library.Library("torchvision", "FRAGMENT")
for schema in ("nms(Tensor dets, Tensor scores, float threshold) -> Tensor", "qnms(Tensor a, Tensor b, float c) -> Tensor"):
    with contextlib.suppress(RuntimeError):  # torchvision's own are there
        operators.define(schema)
lpip = types.ModuleType("torchmetrics.image.lpip")
lpip.LearnedPerceptualImagePatchSimilarity = lambda **_: torch.nn.Identity()
sys.modules["torchmetrics.image.lpip"] = lpip

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.engine.callbacks import TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.nerfacto import NerfactoModelConfig
from PIL import Image

RATE, FINAL_RATE = 1e-2, 1e-4
"""nerfacto's, of fields and proposal networks."""
RAYS_DRAWN = {"cpu": 1024, "cuda": 1 << 15}
"""At once, where nerfacto's 32,768 leave a processor's caches: the same picture in half the time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--draw", nargs="+", required=True, metavar="NAME", help="views of --poses")
    parser.add_argument("--rays", type=int, default=2048, help="a step")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    compiled = device == "cuda" and importlib.util.find_spec("tinycudann") is not None

    training = json.loads((arguments.folder / "transforms.json").read_text())["frames"]
    poses = np.array([frame["transform_matrix"] for frame in training])
    center = poses[:, :3, 3].mean(axis=0)
    scale = 1 / np.abs(poses[:, :3, 3] - center).max()
    images = [load(arguments.folder / frame["file_path"]) for frame in training]

    config = NerfactoModelConfig(implementation="tcnn" if compiled else "torch")
    config.camera_optimizer.mode = "off"
    config.eval_num_rays_per_chunk = RAYS_DRAWN[device]
    box = SceneBox(aabb=torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
    model = config.setup(scene_box=box, num_train_data=len(training)).to(device)
    steps, seconds = fit(model, cameras_of(training, center, scale).to(device), images, arguments)

    arguments.output.mkdir(parents=True, exist_ok=True)
    frames = {name_of(frame): frame for frame in json.loads(arguments.poses.read_text())["frames"]}
    wanted = [frames[name] for name in arguments.draw]
    cameras = cameras_of(wanted, center, scale).to(device)
    model.eval()
    for index, frame in enumerate(wanted):
        with torch.no_grad():
            rays = cameras.generate_rays(camera_indices=index, keep_shape=True)
            drawn = model.get_outputs_for_camera_ray_bundle(rays)
        name = name_of(frame)
        (arguments.output / name).parent.mkdir(parents=True, exist_ok=True)
        color = drawn["rgb"].clamp(0, 1).mul(255).round().byte().cpu().numpy()
        Image.fromarray(color).save(arguments.output / f"{name}.png")
        along = drawn["depth"][..., 0].cpu().numpy() / scale
        np.save(arguments.output / f"{name}.npy", (along / stretch(frame)).astype(np.float32))
    record = {"steps": steps, "seconds": seconds, "rays": arguments.rays, "implementation": config.implementation}
    (arguments.output / "fitted.json").write_text(json.dumps(record))


def fit(
    model: torch.nn.Module, cameras: Cameras, images: list[torch.Tensor], arguments: argparse.Namespace
) -> tuple[int, float]:
    """Trains until the time is over; steps and seconds taken."""
    device = cameras.device
    groups = [{"params": parameters} for parameters in model.get_param_groups().values() if parameters]
    optimizer = torch.optim.Adam(groups, lr=RATE, eps=1e-15)
    attributes = TrainingCallbackAttributes(optimizers=None, grad_scaler=None, pipeline=None, trainer=None)
    callbacks = model.get_training_callbacks(attributes)
    height, width = images[0].shape[:2]
    pixels = torch.stack(images).reshape(-1, 3).to(device)
    start, step = time.perf_counter(), 0
    model.train()
    while (spent := (time.perf_counter() - start) / arguments.seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * (FINAL_RATE / RATE) ** spent
        for callback in callbacks:
            callback.run_callback_at_location(step, TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
        chosen = torch.randint(len(pixels), (arguments.rays,), device=device)
        view, rest = chosen // (height * width), chosen % (height * width)
        where = torch.stack([rest // width, rest % width], dim=1) + 0.5
        rays = cameras.generate_rays(camera_indices=view[:, None], coords=where)
        outputs = model(rays)
        batch = {"image": pixels[chosen]}
        losses = model.get_loss_dict(outputs, batch, model.get_metrics_dict(outputs, batch))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        for callback in callbacks:
            callback.run_callback_at_location(step, TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
        step += 1
    return step, time.perf_counter() - start


def cameras_of(frames: list[dict], center: np.ndarray, scale: float) -> Cameras:
    """nerfstudio's cameras, in its scaled scene."""
    poses = np.array([frame["transform_matrix"] for frame in frames])[:, :3].astype(np.float64)
    poses[:, :, 3] = (poses[:, :, 3] - center) * scale
    sizes = {key: torch.tensor([frame[key] for frame in frames]) for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
    return Cameras(
        camera_to_worlds=torch.from_numpy(poses).float(),
        fx=sizes["fl_x"].float(),
        fy=sizes["fl_y"].float(),
        cx=sizes["cx"].float(),
        cy=sizes["cy"].float(),
        width=sizes["w"],
        height=sizes["h"],
    )


def name_of(frame: dict) -> str:
    return Path(frame["file_path"]).relative_to("images").with_suffix("").as_posix()


def load(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB"))).float() / 255


def stretch(frame: dict) -> np.ndarray:
    """Length along every pixel's ray of one unit of z-depth."""
    x = (np.arange(frame["w"]) + 0.5 - frame["cx"]) / frame["fl_x"]
    y = (np.arange(frame["h"]) + 0.5 - frame["cy"]) / frame["fl_y"]
    return np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)


if __name__ == "__main__":
    main()
