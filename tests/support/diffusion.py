"""The real diffusers classes at toy width, saved as folders of each Stable Diffusion family."""

import json
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

Family = Literal["sd1", "sd2", "sdxl", "bundled"]
WIDTH = 8
"""Of every text encoder's states."""
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
CONTEXT = 16
"""Tokens a prompt."""


def save_toy_prior(folder: Path, family: Family, *, in_channels: int = 9, seed: int = 0) -> Path:
    """A folder in the family's layout with random weights."""
    torch.manual_seed(seed)
    toy_unet(family, in_channels).save_pretrained(folder / "unet")
    toy_vae(family).save_pretrained(folder / "vae")
    toy_scheduler(family).save_pretrained(folder / "scheduler")
    match family:
        case "sd1" | "sd2":
            save_text(folder, "", CLIPTextModel)
        case "sdxl":
            save_text(folder, "", CLIPTextModel)
            save_text(folder, "_2", CLIPTextModelWithProjection)
        case "bundled":
            traits = {"fill": "harmonic", "residual": True, "summary": True, "zero_noise_input": True, "native_px": 32}
            (folder / "splatpaint.json").write_text(json.dumps(traits))
    return folder


def toy_unet(family: Family, in_channels: int = 9) -> UNet2DConditionModel:
    extra = {}
    if family == "sdxl":
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 6 * 4 + WIDTH,
        }
    return UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=WIDTH if family in ("sd1", "sd2") else 2 * WIDTH,
        norm_num_groups=4,
        use_linear_projection=family in ("sd2", "sdxl"),
        **extra,
    )


def toy_vae(family: Family) -> AutoencoderKL | AutoencoderTiny:
    if family == "bundled":
        return AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            num_encoder_blocks=(0, 1, 1),
            num_decoder_blocks=(1, 1, 0),
            scaling_factor=1.5,
        )
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        scaling_factor=0.13025 if family == "sdxl" else 0.18215,
    )


def toy_scheduler(family: Family) -> DDIMScheduler:
    if family == "bundled":
        return DDIMScheduler(
            beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", rescale_betas_zero_snr=True, clip_sample=False
        )
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction" if family == "sd2" else "epsilon",
        clip_sample=False,
    )


def save_text(folder: Path, suffix: str, kind: type) -> None:
    """A CLIP text encoder and a byte-pair tokenizer that knows letters only."""
    letters = [*ALPHABET, *(f"{letter}</w>" for letter in ALPHABET)]
    vocabulary = {token: number for number, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        projection_dim=WIDTH,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )
    kind(config).save_pretrained(folder / f"text_encoder{suffix}")
    tokenizer = folder / f"tokenizer{suffix}"
    tokenizer.mkdir(parents=True)
    (tokenizer / "vocab.json").write_text(json.dumps(vocabulary))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    (tokenizer / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT})
    )


def save_toy_teacher(folder: Path) -> Path:
    """An autoencoder of stride 2 with random weights."""
    torch.manual_seed(1)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(folder)
    return folder
