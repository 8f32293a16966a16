"""From the name of a prior to the prior: the bundled one, a folder, or a model on the Hugging Face hub."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from splatpaint.errors import PriorError
from splatpaint.priors.adapter import add_lora
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.latent import Asked, LatentInpaintingPrior, PriorTraits
from splatpaint.priors.networks import Network, diffusers
from splatpaint.priors.noise import NoiseSchedule
from splatpaint.priors.protocol import Sampler
from splatpaint.priors.text import TextEncoders

BUNDLED = Path(__file__).parent / "bundled"
HABITS_FILE = "splatpaint.json"
HUB_TIMEOUT_S = 5
HUB_FILES = [f"{part}/*" for part in ("unet", "vae", "scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")]
HUB_LEFT_OUT = ["*.bin", "*.ckpt", "*.msgpack", "*.onnx*", "*.fp16.*", "*.non_ema.*"]
"""Second copies of the same weights."""
PREFERRED = ("stable-diffusion-v1-5/stable-diffusion-inpainting", "sd2-community/stable-diffusion-2-inpainting")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class PriorConfig:
    """Which model paints."""

    name: str = "bundled"
    """bundled = the small model inside the package; or a folder in diffusers' layout; or a hub id (owner/name)."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Of the denoiser and text encoders; auto = half precision on a GPU, single elsewhere. The autoencoder stays in single, but
    for auto on a processor that multiplies bfloat16."""
    prompt: str = ""
    """What shall appear, for models that read text."""
    guidance: float = 1.0
    """How strongly the prompt pulls (classifier-free guidance); 1 = not at all beyond the model's own."""
    negative: str = ""
    """What shall not appear; guidance leads away from it."""
    image_guidance: float = 1.0
    """How strongly the known pixels pull; 1 = not beyond the model's own. Costs a pass more a step."""
    sampler: Literal["auto", "ddim", "lcm"] = "auto"
    """auto = lcm if the model's scheduler is one (latent consistency models), else ddim."""
    attention: Literal["whole", "sliced"] = "whole"
    """sliced = one head at a time: slower, and needs less memory."""
    offload: bool = False
    """Keeps the denoiser's weights in main memory and moves each part to the GPU when it is its turn: slow, and very frugal."""
    lora: str | None = None
    """A LoRA of the denoiser, as a .safetensors file in diffusers' format; None = the model as it is."""


def load_prior(config: PriorConfig, device: torch.device) -> LatentInpaintingPrior:
    """The prior, in evaluation mode, on the device.

    Raises:
        PriorError: if the name is neither a folder nor a hub id, the hub cannot be reached, a part of the model is missing, or
            the model is not an inpainting model, or the LoRA does not fit it.
    """
    folder = find_prior(config.name)
    match config.dtype:
        case "auto":
            dtype = torch.float16 if device.type == "cuda" else torch.float32
        case chosen:
            dtype = getattr(torch, chosen)
    try:
        return _read(folder, config, device, dtype)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PriorError(f"the prior {config.name!r} in {folder} cannot be loaded: {reason}") from error


def find_prior(name: str) -> Path:
    """The folder of a prior that is an inpainting model, as far as can be told without reading its weights.

    Raises:
        PriorError: as `load_prior` does.
    """
    folder = find_folder(name)
    unet_config, vae_config = (_part_config(folder, part, name) for part in ("unet", "vae"))
    _refuse_wrong_channels(unet_config, vae_config, name)
    return folder


def find_folder(name: str) -> Path:
    """Where the files of a prior lie; those of a hub id are downloaded unless they are in the cache.

    Raises:
        PriorError: if there is no such folder or hub id, or the hub cannot be reached.
    """
    match name:
        case "bundled":
            return BUNDLED
        case folder if Path(folder).expanduser().is_dir():
            return Path(folder).expanduser()
        case known if HUB_ID.fullmatch(known):
            return _cached(known) or _downloaded(known)
    raise PriorError(f"the prior {name!r} is neither 'bundled', nor a folder that exists, nor a hub id such as owner/name")


def chosen_prior(device: torch.device) -> str:
    """What `--prior auto` means: on a GPU the first of `PREFERRED` in the local cache of the hub, else the bundled one."""
    if device.type == "cuda":
        return next((name for name in PREFERRED if _cached(name)), "bundled")
    return "bundled"


def _cached(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=HUB_FILES, ignore_patterns=HUB_LEFT_OUT, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if (folder / "unet" / "config.json").exists() else None


def _downloaded(name: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        # A short question first: a download retries for half a minute before it gives up on a machine without a network. What
        # it raises then depends on the HTTP library of the hub client's version, hence the wide net.
        HfApi().model_info(name, timeout=HUB_TIMEOUT_S)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise PriorError(
            f"the prior {name!r} is not in the local cache and cannot be had from the hub ({reason}):"
            " give a folder that holds it, or use the bundled prior"
        ) from error
    return Path(snapshot_download(name, allow_patterns=HUB_FILES, ignore_patterns=HUB_LEFT_OUT))


def _part_config(folder: Path, part: str, name: str) -> dict:
    path = folder / part / "config.json"
    if not path.exists():
        raise PriorError(
            f"the prior {name!r} has no {part}/config.json: expected the folder of an inpainting model in diffusers' layout"
            " (unet, vae, scheduler, and text_encoder and tokenizer where it reads prompts)"
        )
    return json.loads(path.read_text())


def _refuse_wrong_channels(unet: dict, vae: dict, name: str) -> None:
    latent = vae["latent_channels"]
    expected, have = 2 * latent + 1, unet["in_channels"]
    if have != expected:
        kind = "a text-to-image model" if have == latent else "no inpainting model"
        raise PriorError(
            f"the prior {name!r} is {kind}: its U-Net takes {have} channels where {expected} are needed"
            f" ({latent} noisy, 1 mask, {latent} masked); choose an inpainting model"
        )


def _read(folder: Path, config: PriorConfig, device: torch.device, dtype: torch.dtype) -> LatentInpaintingPrior:
    unet = diffusers().UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype)
    if config.lora is not None:
        add_lora(unet, Path(config.lora).expanduser(), "given")
    unet = unet.to("cpu" if config.offload else device).eval().requires_grad_(False)
    if config.attention == "sliced":
        unet.set_attention_slice("max")
    if config.offload:
        offload(unet, device)
    text = TextEncoders.read(folder, device, dtype) if (folder / "text_encoder").is_dir() else None
    schedule = diffusers().DDIMScheduler.from_pretrained(folder / "scheduler")
    habits = folder / HABITS_FILE
    return LatentInpaintingPrior(
        unet,
        DiffusersCodec.read(folder / "vae", device, mixed=config.dtype == "auto" and multiplies_bfloat16(device)),
        NoiseSchedule(schedule.alphas_cumprod.to(device)),
        schedule.config.prediction_type,
        text=text,
        habits=PriorTraits(**json.loads(habits.read_text())) if habits.exists() else PriorTraits(),
        asked=Asked(config.prompt, config.negative, config.guidance, config.image_guidance),
        sampler=_sampler(folder) if config.sampler == "auto" else config.sampler,
    )


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it is a processor with instructions for that, on which it is faster than single precision."""
    # A private function of torch, which not every release has.
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and supported()


def predicts_noise(folder: Path) -> bool:
    """Whether the prior in the folder says what noise there is and nothing else, as Stable Diffusion 1 and XL do."""
    settings = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    return settings.get("prediction_type", "epsilon") == "epsilon"


def _sampler(folder: Path) -> Sampler:
    name = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    return "lcm" if name == "LCMScheduler" else "ddim"


def offload(unet: Network, device: torch.device) -> None:
    """Every part of the network comes to the device when it is its turn, and leaves it again (accelerate)."""
    from accelerate import cpu_offload

    cpu_offload(unet, device)
