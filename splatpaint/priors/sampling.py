"""Pictures from a prior: written once, over its one primitive."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.region import to_cells
from splatpaint.priors.conditioning import fill_holes, membranes
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
    """The query's pictures with their holes painted, the known pixels bit-identical.

    Noises `start` to a level and walks down by the prior's sampler (SDEdit, with the known cells held on their own noisy path
    as in RePaint). What comes out is decoded as a change of a picture that was encoded too, so what the codec loses is lost
    only where something new was painted (see `decode_change`): no blur from round to round.

    Args:
        prior: paints.
        query: what is known; sides must be multiples of the codec's stride.
        start: a first guess of the holes' content; known pixels are taken from the query.
        strength: how much of the guess is given up: 0 = nothing happens, 1 = start from pure noise, the guess is lost.
        steps: denoiser calls on the way down; 1 from pure noise gives the mean of all plausible fills, more give texture. At
            most the prior's `max_steps`.
        generator: draws the noise, on the CPU whatever the device, so every device sees the same.
        guidance: see `Prior.denoise`.

    Raises:
        ValueError: if the strength is outside [0, 1].
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength {strength} is outside 0 to 1")
    guess = torch.where(query.holes > 0.5, start, query.images)
    level = round(strength * len(prior.noise)) - 1
    if level < 0:
        return guess
    # The guess counts as far as it is kept; the rest is the membrane, which has no detail that the codec could lose.
    base = torch.lerp(guess, fill_holes(query.images, query.holes, "harmonic", query.layout), strength)
    begun = prior.codec.encode(base if strength == 1.0 else guess)
    given = prior.condition(query)
    unknown = to_cells(query.holes, prior.codec.stride) > 0.5
    noise = torch.randn(begun.shape, generator=generator).to(begun)
    steps = min(steps, prior.max_steps or steps)
    levels = [torch.full((len(begun),), t, device=begun.device) for t in prior.noise.timesteps(steps, level)]
    x = prior.noise.add_noise(begun, noise, levels[0])
    for t, lower in zip(levels, [*levels[1:], None], strict=True):
        found = prior.denoise(x, t, given, guidance=guidance)
        if prior.sampler == "lcm" and lower is not None:
            found = replace(found, noise=torch.randn(begun.shape, generator=generator).to(begun))
        x = step_down(found, lower, prior.noise)
        known = begun if lower is None else prior.noise.add_noise(begun, noise, lower)
        x = torch.where(unknown, x, known)
    return torch.where(query.holes > 0.5, decode_change(prior.codec, x, base, query).clamp(0, 1), query.images)


def decode_change(
    codec: Codec, latents: Float[Tensor, "v c hl wl"], base: Float[Tensor, "v 3 h w"], query: PriorQuery
) -> Float[Tensor, "v 3 h w"]:
    """Pictures of latents, decoded as a change of a picture, so that what the codec loses of that is not lost.

    Where pixels are known, what the change is is an error; its membrane is taken off in the holes (Perez et al. 2003, Poisson
    Image Editing, eq. 5). So there is no step at their boundary, and holes narrower than a latent cell, of which a codec says
    little, are left to the membrane over the known pixels. Differentiable in the latents, but for that.

    Args:
        codec: decodes.
        latents: what shall be seen.
        base: pictures whose known pixels are the query's.
        query: what is known. What lies outside its holes means nothing in the result.
    """
    with torch.no_grad():
        plain = codec.decode(codec.encode(base))
    change = codec.decode(latents) - plain
    return base + change - membranes(change, query.holes, torch.zeros_like(change[..., :1, :1]), query.layout)
