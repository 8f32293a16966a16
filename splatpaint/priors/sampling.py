"""Sampling: denoises the holes of pictures from a noise level down, with DDIM or LCM steps, over `Prior.denoise`."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.region import to_cells
from splatpaint.priors.conditioning import fill_holes, fill_panels
from splatpaint.priors.noise import step_down
from splatpaint.priors.protocol import Codec, Prior, PriorQuery


@torch.no_grad()
def partial_denoise(
    prior: Prior,
    query: PriorQuery,
    start: Float[Tensor, "v 3 h w"],
    *,
    strength: float,
    steps: int,
    generator: torch.Generator,
    guidance: float | None = None,
) -> Float[Tensor, "v 3 h w"]:
    """The query's pictures with their holes inpainted; known pixels are bit-identical.

    Adds noise to `start` and denoises it with the prior's sampler (SDEdit, Meng et al. 2022). After each step known cells are
    set to the noised latents of the known pixels (RePaint, Lugmayr et al. 2022). The result is decoded as a change of an
    encoded picture, so that the codec's loss does not accumulate from round to round (see `decode_change`).

    Args:
        prior: the denoiser.
        query: pictures and holes; sides must be multiples of the codec's stride.
        start: initial content of the holes; known pixels are taken from the query.
        strength: noise level at the start, as a share of the levels: 0 = `start` is returned, 1 = pure noise, `start` is lost.
        steps: denoiser calls, at most the prior's `max_steps`. One from pure noise gives the mean of all plausible fills, more
            give texture.
        generator: random numbers of the noise, on the CPU, so that every device gets the same.
        guidance: see `Prior.denoise`.

    Raises:
        ValueError: if the strength is outside [0, 1].
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength {strength} is outside 0 to 1")
    initial = torch.where(query.holes > 0.5, start, query.images)
    level = round(strength * len(prior.noise)) - 1
    if level < 0:
        return initial
    # The share of the start that is given up is replaced by the harmonic fill, which has no detail that the codec could lose.
    base = torch.lerp(initial, fill_holes(query.images, query.holes, "harmonic", query.layout), strength)
    latents = prior.codec.encode(base if strength == 1.0 else initial)
    given = prior.condition(query)
    unknown = to_cells(query.holes, prior.codec.stride) > 0.5
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    steps = min(steps, prior.max_steps or steps)
    levels = [torch.full((len(latents),), t, device=latents.device) for t in prior.noise.timesteps(steps, level)]
    x = prior.noise.add_noise(latents, noise, levels[0])
    for t, lower in zip(levels, [*levels[1:], None], strict=True):
        denoised = prior.denoise(x, t, given, guidance=guidance)
        if prior.sampler == "lcm" and lower is not None:
            denoised = replace(denoised, noise=torch.randn(latents.shape, generator=generator).to(latents))
        x = step_down(denoised, lower, prior.noise)
        known = latents if lower is None else prior.noise.add_noise(latents, noise, lower)
        x = torch.where(unknown, x, known)
    return torch.where(query.holes > 0.5, decode_change(prior.codec, x, base, query).clamp(0, 1), query.images)


def decode_change(
    codec: Codec, latents: Float[Tensor, "v c hl wl"], base: Float[Tensor, "v 3 h w"], query: PriorQuery
) -> Float[Tensor, "v 3 h w"]:
    """Latents decoded as a change of the base, which keeps its detail: base + decode(latents) - decode(encode(base)).

    At known pixels the change is the codec's error. Its harmonic fill is subtracted in the holes (Perez et al. 2003, Poisson
    Image Editing, eq. 5). So there is no step at their boundary, and holes narrower than a latent cell, which a codec cannot
    resolve, get the harmonic fill of the base. Differentiable in the latents.

    Args:
        codec: encodes and decodes.
        latents: clean latents.
        base: pictures whose known pixels are the query's.
        query: holes and layout. Pixels of the result outside the holes are meaningless.
    """
    with torch.no_grad():
        restored = codec.decode(codec.encode(base))
    change = codec.decode(latents) - restored
    return base + change - fill_panels(change, query.holes, torch.zeros_like(change[..., :1, :1]), query.layout)
