import pytest
import torch

from splatpaint.priors.canvas import split_panels
from splatpaint.priors.crops import crop_boxes, inpaint
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.protocol import Conditioning, PriorQuery, Reference
from tests.support.diffusion import save_toy_prior
from tests.support.gaussian_prior import GaussianPrior

MU = torch.tensor([0.2, 0.5, 0.8])[:, None, None]
PRIOR = GaussianPrior(MU, 0.01)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def holes_at(*boxes: tuple[int, int, int, int], height: int = 120, width: int = 200) -> torch.Tensor:
    holes = torch.zeros(1, 1, height, width)
    for top, bottom, left, right in boxes:
        holes[:, :, top:bottom, left:right] = 1
    return holes


def wall(shade: float) -> torch.Tensor:
    """Nearly one color, so that its harmonic fill has no detail."""
    return (shade + 1e-6 * torch.rand(1, 3, 120, 200)).clamp(0, 1)


CASES = {
    "inside": holes_at((40, 70, 60, 100)),
    "over the border": holes_at((0, 30, 170, 200)),
    "far apart": holes_at((5, 15, 5, 15), (100, 118, 180, 198)),
    "one pixel": holes_at((60, 61, 90, 91)),
    "most of the picture": holes_at((2, 118, 0, 195)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_hole_is_painted_and_nothing_else_changes(case):
    holes = CASES[case]
    query = PriorQuery(wall(0.6), holes)
    painted = inpaint(PRIOR, query, strength=1.0, steps=1, generator=noise())
    inside = (holes > 0).expand_as(painted)
    assert torch.equal(painted[~inside], query.images[~inside])
    assert torch.allclose(painted[inside], MU.expand_as(painted[0])[None][inside], atol=1e-5)


def test_views_are_painted_each_by_its_own_mask():
    holes = torch.cat([CASES["inside"], torch.zeros(1, 1, 120, 200), CASES["far apart"]])
    query = PriorQuery(wall(0.6).expand(3, -1, -1, -1), holes)
    painted = inpaint(PRIOR, query, steps=1, generator=noise())
    assert torch.equal(painted[1], query.images[1])
    assert torch.allclose(painted[2, :, 110, 190], MU[:, 0, 0], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_crops_cover_the_holes_stay_inside_and_do_not_overlap(case):
    holes = CASES[case][0]
    boxes = crop_boxes(holes, 64)
    covered = torch.zeros_like(holes)
    for box in boxes:
        assert 0 <= box.left < box.right <= 200
        assert 0 <= box.top < box.bottom <= 120
        box.crop(covered).add_(1)
    assert (covered[holes > 0] == 1).all()
    assert covered.max() == 1


def test_a_small_hole_is_painted_at_the_native_scale_with_context_around():
    (box,) = crop_boxes(CASES["inside"][0], 64)
    assert (box.width, box.height) == (70, 70), "1.75 times the longer side of the hole"
    (box,) = crop_boxes(CASES["one pixel"][0], 64)
    assert (box.width, box.height) == (64, 64), "never enlarged beyond the pixels that there are"


@pytest.mark.parametrize(("hole", "painted"), [((60, 61, 90, 91), 64), ((40, 95, 60, 110), 96), ((20, 88, 60, 128), 112)])
def test_crops_are_painted_at_their_own_size_within_what_the_prior_was_trained_on(hole, painted):
    sizes = []

    class RecordingPrior(GaussianPrior):
        def condition(self, query):
            sizes.append(tuple(query.images.shape[2:]))
            return super().condition(query)

    prior = RecordingPrior(MU, 0.01)
    prior.smallest_px, prior.native_px = 64, 112
    inpaint(prior, PriorQuery(wall(0.5), holes_at(hole)), steps=1, generator=noise())
    assert sizes == [(painted, painted)]


def test_neighboring_holes_share_a_crop():
    assert len(crop_boxes(holes_at((40, 60, 40, 60), (40, 60, 70, 90))[0], 64)) == 1
    assert len(crop_boxes(CASES["far apart"][0], 64)) == 2


def test_a_guess_at_strength_zero_comes_back_as_it_is():
    query = PriorQuery(torch.rand(1, 3, 120, 200), CASES["inside"])
    guess = torch.rand(1, 3, 120, 200)
    painted = inpaint(PRIOR, query, start=guess, strength=0.0, generator=noise())
    assert torch.equal(painted, torch.where(query.holes > 0, guess, query.images))


def test_detail_of_a_guess_survives_a_painting_at_a_smaller_size():
    """A guess that is hardly given up keeps its grain, although it is painted at half the size."""
    query = PriorQuery(wall(0.5), holes_at((10, 110, 20, 180)))
    guess = (0.5 + 0.1 * torch.randn(1, 3, 120, 200)).clamp(0, 1)
    painted = inpaint(PRIOR, query, start=guess, strength=0.001, steps=1, size=64, generator=noise())
    inside = (query.holes > 0).expand_as(guess)
    assert (painted - guess)[inside].abs().mean() < 0.3 * guess[inside].std()


def test_neither_the_query_nor_the_guess_is_written_to():
    images, guess = torch.rand(1, 3, 120, 200), torch.rand(1, 3, 120, 200)
    before = images.clone(), guess.clone()
    inpaint(PRIOR, PriorQuery(images, CASES["inside"]), start=guess, strength=1.0, steps=1, generator=noise())
    assert torch.equal(images, before[0])
    assert torch.equal(guess, before[1])


def test_a_latent_prior_paints_holes_of_any_picture_size_deterministically(tmp_path):
    prior = load_prior(PriorConfig(name=str(save_toy_prior(tmp_path, "bundled"))), torch.device("cpu"))
    query = PriorQuery(torch.rand(1, 3, 71, 93), holes_at((10, 40, 0, 33), height=71, width=93))
    first, second = (inpaint(prior, query, steps=2, generator=noise()) for _ in range(2))
    inside = (query.holes > 0).expand_as(first)
    assert torch.equal(first, second)
    assert torch.equal(first[~inside], query.images[~inside])
    assert not torch.equal(first[inside], query.images[inside])


class RecordingPrior(GaussianPrior):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__(MU, 0.01)
        self.seen: list[PriorQuery] = []

    def condition(self, query: PriorQuery) -> Conditioning:
        self.seen.append(query)
        return super().condition(query)


def test_a_reference_stands_on_the_left_of_the_crop_and_is_not_changed():
    holes, prior = holes_at((40, 70, 60, 100)), RecordingPrior()
    reference = Reference(torch.full((1, 3, 120, 200), 0.3), torch.zeros(1, 1, 120, 200))
    query = PriorQuery(wall(0.6), holes, reference=reference)
    painted = inpaint(prior, query, steps=1, generator=noise())
    shown = prior.seen[0]
    assert shown.layout == "pair"
    left, right = split_panels(shown.images, "pair")
    torch.testing.assert_close(left, torch.full_like(left, 0.3))
    assert not split_panels(shown.holes, "pair")[0].any()
    assert (right[split_panels(shown.holes, "pair")[1].expand_as(right) == 0] > 0.5).all()
    inside = (holes > 0).expand_as(painted)
    assert torch.allclose(painted[inside], MU.expand_as(painted[0])[None][inside], atol=1e-5)
    assert torch.equal(painted[~inside], query.images[~inside])


def test_a_reference_that_says_nothing_is_not_looked_at():
    prior, nothing = RecordingPrior(), Reference(torch.zeros(1, 3, 120, 200), torch.ones(1, 1, 120, 200))
    inpaint(prior, PriorQuery(wall(0.6), CASES["inside"], reference=nothing), steps=1, generator=noise())
    assert prior.seen[0].layout == "single"


def test_canvases_are_not_cut():
    with pytest.raises(ValueError, match="a pair cannot be cut into crops"):
        inpaint(PRIOR, PriorQuery(wall(0.6), CASES["inside"], layout="pair"), generator=noise())
