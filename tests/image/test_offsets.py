import torch

from splatpaint.image.offsets import candidate_offsets

HEIGHT, WIDTH = 72, 90


def found(image: torch.Tensor, source: torch.Tensor | None = None) -> set[tuple[int, int]]:
    hole = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    hole[30:44, 40:56] = True
    offsets = candidate_offsets(image, hole, ~hole if source is None else source, generator=torch.Generator().manual_seed(0))
    return {tuple(offset) for offset in offsets.tolist()}


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


def test_a_pattern_repeats_at_its_period():
    image = noise(12, 15).repeat(1, 6, 6)
    offsets = found(image)
    assert {(12, 0), (-12, 0), (0, 15), (0, -15)} & offsets
    assert all(rows % 12 == 0 and columns % 15 == 0 for rows, columns in offsets)


def test_a_pattern_repeats_also_where_it_is_darker():
    image = noise(12, 15).repeat(1, 6, 6) * 0.5
    image[..., 45:] += 0.3
    offsets = found(image)
    exact = [rows % 12 == 0 and columns % 15 == 0 for rows, columns in offsets]
    assert sum(exact) > len(exact) / 2


def test_the_hole_boundary_is_matched_to_its_copy():
    """Noise without repetition, except for one copy of the region around the hole."""
    image = noise(HEIGHT, WIDTH)
    image[:, 3:24, 10:32] = image[:, 27:48, 37:59]
    assert (-24, -27) in found(image)


def test_offsets_lead_to_what_may_be_copied():
    image = noise(12, 15).repeat(1, 6, 6)
    source = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    source[:30] = True
    around = found(image, source)
    assert around
    assert min(rows for rows, _ in around) < 0


def test_nothing_is_found_where_nothing_may_be_copied():
    assert not found(noise(HEIGHT, WIDTH), source=torch.zeros(HEIGHT, WIDTH, dtype=torch.bool))
