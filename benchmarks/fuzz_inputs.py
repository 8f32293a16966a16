"""Small inputs of every kind, and the code that reads them, for `benchmarks.fuzz`."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.capture_writer import Frame, write_capture
from splatpaint.capture import CaptureConfig, inputs, inspect, last_prepared, prepare
from splatpaint.cli.commands.render import select_views
from splatpaint.config import dump, load, load_tree, override
from splatpaint.events import drain
from splatpaint.fit.checkpoint import load_checkpoint, restoring, save_checkpoint
from splatpaint.fit.parameters import LearningRates, SplatParameters
from splatpaint.formats import read_splats, write_splats
from splatpaint.image.files import image_size, nonfinite_pixels, read_image, read_mask, white_of, write_image, write_mask
from splatpaint.priors.adapter import add_lora, init_lora, save_lora
from splatpaint.priors.load import PriorConfig, find_prior, load_prior, predicts_noise
from splatpaint.priors.photos import read_photos
from splatpaint.render.native import rasterize
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import PointCloud, with_exposures
from splatpaint.stages.config import RunConfig
from splatpaint.stages.contradicting_views import read_contradicting, write_contradicting
from splatpaint.stages.export import export
from splatpaint.stages.exposures import read_exposures, write_exposures
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.holes import read_occluded, write_occluded
from splatpaint.stages.pictures import render_views

VIEWS, WIDTH, HEIGHT = 4, 32, 24
CPU = torch.device("cpu")
TINY = 8
"""Channels of the networks."""


@dataclass
class Kind:
    """A kind of input."""

    name: str
    weight: float
    """How often it is chosen, beside the others."""
    patterns: tuple[str, ...]
    """Files that are mutated, from the folder of the case."""
    read: Callable[[Path], object]
    """Reads the input in the folder; everything that it writes goes to `out` there."""
    found: list[Path] = field(default_factory=list)
    """The files that may be mutated."""

    def find(self, box: Path) -> None:
        """Finds the files."""
        self.found = sorted(file for pattern in self.patterns for file in box.glob(pattern) if file.is_file())
        if not self.found:
            raise ValueError(f"there is no input of the kind {self.name}")


def write_inputs(box: Path, *, prior: bool = True) -> None:
    """One input of every kind; the prior takes longest, as diffusers has to be imported."""
    torch.manual_seed(0)
    angles = torch.linspace(-0.5, 0.5, VIEWS)
    eyes = torch.stack([angles.sin(), 0.2 * (3 * angles).cos(), -angles.cos()], dim=1)
    poses = look_at(eyes, torch.zeros(VIEWS, 3), torch.tensor([0.0, -1.0, 0.0]))
    K = torch.tensor([[[20.0, 0.0, WIDTH / 2], [0.0, 20.0, HEIGHT / 2], [0.0, 0.0, 1.0]]])
    cameras = [Cameras(K, pose[None], WIDTH, HEIGHT) for pose in poses]
    points = PointCloud(0.2 * torch.randn(150, 3), torch.randint(0, 256, (150, 3), dtype=torch.uint8))
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 5:9, 5:9] = 1
    names = [f"side/{number}" for number in range(VIEWS)]
    frames = [Frame(name, camera, torch.rand(3, HEIGHT, WIDTH), mask) for name, camera in zip(names, cameras, strict=True)]
    write_capture(box / "capture", frames, points)
    _write_colmap(box, names, cameras, points)
    _write_llff(box, frames)
    _write_pictures(box / "pictures")
    splats = _splats()
    for suffix in (".ply", ".splat", ".safetensors"):
        write_splats(box / "splats" / f"scene{suffix}", splats)
    (box / "config").mkdir()
    (box / "config" / "run.yaml").write_text(dump(RunConfig()))
    (box / "config" / "assignments.txt").write_text(
        "seed=1\ninpaint.rates.means=1e-5\ncapture.masks=a b\ninpaint.objectives+={kind: perceptual, weight: 0.1}\n"
        "reconstruct.objectives[0].weight=2\ninpaint.seed={views: 3}\nreconstruct.density.every=5\nprior.lora=null\n"
    )
    parameters = SplatParameters(splats, LearningRates())
    save_checkpoint(box / "checkpoint" / "state.pt", {"step": 3, "parameters": parameters.state()})
    _write_run(box, splats, mask)
    if prior:
        _write_prior(box / "prior")
    (box / "photos").mkdir()
    for number in range(3):
        write_image(box / "photos" / f"{number}.jpg", torch.rand(3, 20, 20))
    index = [{"file": "0.jpg", "split": "test"}, {"file": "1.jpg", "split": "train"}]
    (box / "photos" / "index.json").write_text(json.dumps(index))


def _splats() -> Splats:
    return Splats(
        torch.randn(12, 3), torch.randn(12, 4), 0.3 * torch.randn(12, 3) - 2, torch.randn(12), 0.3 * torch.randn(12, 4, 3)
    )


def _write_colmap(box: Path, names: list[str], cameras: list[Cameras], points: PointCloud) -> None:
    import pycolmap

    model = box / "text" / "sparse" / "0"
    model.mkdir(parents=True)
    rows, images = [], []
    for number, (name, camera) in enumerate(zip(names, cameras, strict=True), start=1):
        pose = camera.cam_from_world[0].double().numpy()
        x, y, z, w = pycolmap.Rotation3d(pose[:3, :3]).quat
        images.append(f"{number} {w} {x} {y} {z} {' '.join(map(str, pose[:3, 3]))} {number} {name}.png")
        images.append(" ".join(f"{5 + index % 9}.5 {6 + index % 7}.5 {index + 1}" for index in range(len(points))))
        rows.append(f"{number} PINHOLE {WIDTH} {HEIGHT} 20 20 {WIDTH / 2} {HEIGHT / 2}")
    (model / "cameras.txt").write_text("\n".join(rows) + "\n")
    (model / "images.txt").write_text("\n".join(images) + "\n")
    track = " ".join(str(image) + " {0}" for image in range(1, VIEWS + 1))
    lines = [
        f"{index + 1} {' '.join(map(str, place.tolist()))} 9 9 9 0.5 {track.format(index)}"
        for index, place in enumerate(points.positions)
    ]
    (model / "points3D.txt").write_text("\n".join(lines) + "\n")
    binary = box / "binary" / "sparse" / "0"
    binary.mkdir(parents=True)
    pycolmap.Reconstruction(model).write_binary(binary)
    for layout in ("text", "binary"):
        for name in names:
            write_image(box / layout / "images" / f"{name}.png", torch.rand(3, HEIGHT, WIDTH))


def _write_llff(box: Path, frames: list[Frame]) -> None:
    rows = []
    for number, frame in enumerate(frames):
        write_image(box / "llff" / "images" / f"{number}.png", frame.image)
        right, down, forward, center = frame.camera.world_from_cam[0, :3].T.double().numpy()
        matrix = np.stack([down, right, -forward, center, (HEIGHT, WIDTH, 20.0)], axis=1)
        rows.append([*matrix.ravel(), 1.0, 5.0])
    np.save(box / "llff" / "poses_bounds.npy", np.array(rows))
    (box / "llff" / "sparse" / "0").mkdir(parents=True)
    points = box / "binary" / "sparse" / "0" / "points3D.bin"
    (box / "llff" / "sparse" / "0" / "points3D.bin").write_bytes(points.read_bytes())


def _write_pictures(folder: Path) -> None:
    picture = torch.rand(3, HEIGHT, WIDTH)
    for suffix in (".png", ".jpg", ".tif", ".bmp", ".webp"):
        write_image(folder / f"a{suffix}", picture)
    gray = picture[0].numpy()
    Image.fromarray(gray).save(folder / "float.tif")
    Image.fromarray((gray * 65535).astype(np.uint16)).save(folder / "deep.png")
    Image.fromarray((gray * 4).astype(np.uint8)).convert("P").save(folder / "palette.png")
    Image.fromarray((picture.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).convert("RGBA").save(folder / "alpha.png")


def _write_run(box: Path, splats: Splats, mask: torch.Tensor) -> None:
    """A run as `fit` leaves it, without its training."""
    capture, config = box / "capture", RunConfig(capture=CaptureConfig(max_resolution=24))
    with RunFolder.open(box / "run", capture, config, files=inputs(capture, config.capture)) as folder:
        prepared = drain(prepare(capture, config.capture, cache=folder.stage("capture")))
        for stage in ("locate", "reconstruct", "remove", "inpaint"):
            folder.stage(stage)
            write_splats(folder.path / stage / "splats.safetensors", splats)
        exposures = {view.name: Exposure((0.9, 1.0, 1.1), (0.0, 0.01, -0.01)) for view in prepared.views}
        write_exposures(folder.path / "reconstruct", exposures)
        write_contradicting(folder.path / "reconstruct", [prepared.views[0].name])
        small = torch.nn.functional.interpolate(mask[None], (prepared.views[0].camera.height, prepared.views[0].camera.width))
        write_occluded(folder.path / "locate", {view.name: small.bool() for view in prepared.views})
        write_mask(folder.path / "remove" / "holes" / "side" / "0.png", small[0])
        folder.record("reconstruct", {"seconds": 1.0})


def _write_prior(folder: Path) -> None:
    from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel

    unet = UNet2DConditionModel(
        in_channels=9,
        out_channels=4,
        block_out_channels=(TINY, 2 * TINY),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=2 * TINY,
        norm_num_groups=4,
    )
    unet.save_pretrained(folder / "unet")
    blocks = {"num_encoder_blocks": (0, 1, 1), "num_decoder_blocks": (1, 1, 0)}
    widths = {"encoder_block_out_channels": (TINY,) * 3, "decoder_block_out_channels": (TINY,) * 3}
    AutoencoderTiny(**blocks, **widths).save_pretrained(folder / "vae")
    DDIMScheduler(prediction_type="v_prediction").save_pretrained(folder / "scheduler")
    (folder / "splatpaint.json").write_text(json.dumps({"fill": "gray", "residual": True, "native_px": 32}))
    init_lora(unet, 2, "scene", "attention")
    save_lora(unet, "scene", folder / "lora.safetensors")


def _read_capture(folder: Path, box: Path) -> None:
    config = CaptureConfig(max_resolution=24)
    inspect(folder, config)
    drain(prepare(folder, config, cache=box / "out" / "cache"))


def _read_pictures(box: Path) -> None:
    files = sorted((box / "pictures").iterdir())
    for file in files:
        for read in (image_size, read_image, read_mask, nonfinite_pixels):
            read(file)
    white_of(files)


def _read_splats(box: Path) -> None:
    for file in sorted((box / "splats").iterdir()):
        read_splats(file)


def _read_config(box: Path) -> None:
    load(RunConfig, box / "config" / "run.yaml")
    tree = load_tree(box / "config" / "run.yaml")
    file = box / "config" / "assignments.txt"
    if file.is_file():
        lines = file.read_text(errors="surrogateescape").splitlines()
        for line in lines:
            override(tree, line)
        load(RunConfig, overrides=lines)


def _read_checkpoint(box: Path) -> None:

    file = box / "checkpoint" / "state.pt"
    state = load_checkpoint(file, CPU)
    if state is not None:
        with restoring(file):
            SplatParameters(_splats(), LearningRates()).restore(state["parameters"])


def _read_run(box: Path) -> None:
    run = RunFolder.read(box / "run")
    config = run.config(RunConfig)
    prepared = last_prepared(run.stage("capture"))
    capture = with_exposures(prepared, read_exposures(run.stage("reconstruct")))
    read_contradicting(run.stage("reconstruct"))
    read_occluded(run.stage("locate"), capture.views, CPU)
    splats = read_splats(run.product("inpaint"))
    views = select_views(capture.all_views, "all")
    drain(render_views(splats, views, rasterize, box / "out" / "renders", device=CPU))
    out = box / "out" / "scene.ply"
    drain(export(splats, capture.world_from_input, out, views=views[:1], rasterizer=rasterize, device=CPU))
    assert config.seed >= 0
    assert run.metrics is not None


def _continue_run(box: Path) -> None:
    config = load(RunConfig, box / "run" / "config.yaml")
    with RunFolder.open(box / "run", box / "capture", config, files=inputs(box / "capture", config.capture), resume=True):
        pass


def _read_prior(box: Path) -> None:
    folder = find_prior(str(box / "prior"))
    predicts_noise(folder)
    prior = load_prior(PriorConfig(name=str(folder)), CPU)
    add_lora(prior.unet, folder / "lora.safetensors", "given")


KINDS = (
    Kind("pictures", 3, ("pictures/*",), _read_pictures),
    Kind("transforms", 4, ("capture/transforms.json", "capture/points.ply"), lambda box: _read_capture(box / "capture", box)),
    Kind("photos", 2, ("capture/images/**/*", "capture/masks/**/*"), lambda box: _read_capture(box / "capture", box)),
    Kind("text", 3, ("text/sparse/0/*",), lambda box: _read_capture(box / "text", box)),
    Kind("binary", 3, ("binary/sparse/0/*",), lambda box: _read_capture(box / "binary", box)),
    Kind("llff", 3, ("llff/poses_bounds.npy", "llff/sparse/0/*"), lambda box: _read_capture(box / "llff", box)),
    Kind("splats", 4, ("splats/*",), _read_splats),
    Kind("config", 6, ("config/*",), _read_config),
    Kind("checkpoint", 2, ("checkpoint/*",), _read_checkpoint),
    Kind(
        "run",
        4,
        ("run/*.json", "run/*.yaml", "run/capture/*", "run/capture/*/*.*", "run/*/*.json", "run/inpaint/*", "run/locate/**/*"),
        _read_run,
    ),
    Kind("resume", 1, ("run/*.json", "run/*.yaml"), _continue_run),
    Kind("prior", 0.5, ("prior/**/*",), _read_prior),
    Kind("training", 1, ("photos/*",), lambda box: read_photos(box / "photos")),
)
