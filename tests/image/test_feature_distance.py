import torch
import torch.nn.functional as F

from splatpaint.image.feature_distance import cosine_feature_distance


def vectors(*, seed: int) -> torch.Tensor:
    return torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_squared_distance_of_unit_vectors():
    x, unit = vectors(seed=0), F.normalize(vectors(seed=1), dim=1)
    plain = (F.normalize(x, dim=1) - unit).square().sum(dim=1, keepdim=True)
    torch.testing.assert_close(cosine_feature_distance(x, unit), plain)


def test_its_gradient_is_that_of_the_formula():
    x, unit = vectors(seed=0).requires_grad_(), F.normalize(vectors(seed=1), dim=1)
    assert torch.autograd.gradcheck(lambda x: cosine_feature_distance(x, unit), (x,))


def test_zero_vectors_have_no_gradient():
    x, unit = torch.zeros(1, 5, 1, 1, requires_grad=True), F.normalize(torch.ones(1, 5, 1, 1), dim=1)
    distance = cosine_feature_distance(x, unit)
    distance.sum().backward()
    assert distance.item() == 2
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_length_does_not_count():
    x, unit = vectors(seed=0), F.normalize(vectors(seed=1), dim=1)
    torch.testing.assert_close(cosine_feature_distance(7 * x, unit), cosine_feature_distance(x, unit))
