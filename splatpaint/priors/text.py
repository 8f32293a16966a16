"""Prompt embeddings by the text encoders of Stable Diffusion 1, 2 and XL."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.priors.networks import Network, from_folder, transformers
from splatpaint.priors.protocol import TextEmbedding


class TextEncoders:
    """The CLIP text encoders of a model: one (SD 1 and 2: last states) or two (SDXL: last but one states, pooled vector)."""

    def __init__(self, tokenizers: list, encoders: list[Network], pooled: bool) -> None:
        self._tokenizers, self._encoders, self._pooled = tokenizers, encoders, pooled

    @classmethod
    def read(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "TextEncoders":
        """Reads the encoders in a diffusers folder: `text_encoder` and, for SDXL, `text_encoder_2`."""
        twins = (folder / "text_encoder_2").is_dir()
        clip = transformers()
        kinds = {"": clip.CLIPTextModel}
        if twins:
            kinds["_2"] = clip.CLIPTextModelWithProjection
        tokenizers = [from_folder(clip.CLIPTokenizer, folder / f"tokenizer{suffix}") for suffix in kinds]
        encoders = [
            from_folder(kind, folder / f"text_encoder{suffix}", dtype=dtype).to(device).eval().requires_grad_(False)
            for suffix, kind in kinds.items()
        ]
        return cls(tokenizers, encoders, pooled=twins)

    @torch.no_grad()
    def encode(self, prompt: str, count: int, height: int, width: int) -> TextEmbedding:
        """The embedding of a prompt for `count` pictures of the given size in pixels. Long prompts are cut."""
        states, pooled = [], None
        for tokenizer, encoder in zip(self._tokenizers, self._encoders, strict=True):
            ids = tokenizer(
                prompt, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
            ).input_ids
            output = encoder(ids.to(next(encoder.parameters()).device), output_hidden_states=True)
            states.append(output.hidden_states[-2] if self._pooled else output.last_hidden_state)
            pooled = output.text_embeds if "text_embeds" in output else None
        tokens = torch.cat(states, dim=-1).float().expand(count, -1, -1)
        if pooled is None:
            return TextEmbedding(tokens)
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32, device=tokens.device)
        return TextEmbedding(tokens, pooled.float().expand(count, -1), sizes.expand(count, -1))

    def unconditional(self, negative: str, count: int, height: int, width: int) -> TextEmbedding:
        """The embedding that guidance extrapolates from: the negative prompt, else the empty one (SDXL: zeros)."""
        empty = self.encode(negative, count, height, width)
        if negative or empty.pooled is None:
            return empty
        return TextEmbedding(torch.zeros_like(empty.tokens), torch.zeros_like(empty.pooled), empty.sizes)


def zero_token(count: int, width: int, device: torch.device) -> Float[Tensor, "v 1 d"]:
    """One zero token per picture, for denoisers that were trained without text."""
    return torch.zeros(count, 1, width, device=device)
