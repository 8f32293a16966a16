import numpy as np
import pytest
import torch

from splatpaint.formats.codebooks import codebook, palette


@pytest.mark.parametrize("distinct", [1, 7, 256])
def test_few_values_are_their_own_codebook(distinct: int):
    values = np.random.default_rng(0).choice(np.linspace(-3, 5, distinct, dtype="f4"), 1000)
    book, index = codebook(values)
    assert len(book) == 256
    assert (np.diff(book) >= 0).all()
    assert np.array_equal(book[index], values)


@pytest.mark.parametrize("shape", ["normal", "heavy tails", "uniform", "outlier"])
def test_many_values_are_close_to_one_of_the_codebook(shape: str):
    random = np.random.default_rng(1)
    values = {
        "normal": random.normal(size=20000),
        "heavy tails": random.standard_t(3, size=20000),
        "uniform": random.uniform(size=20000),
        "outlier": np.append(random.normal(size=20000), -20.0),
    }[shape].astype("f4")
    book, index = codebook(values)
    spread = values.max() - values.min()
    assert np.abs(book[index] - values).max() < spread / 100
    even = np.abs(values - np.rint((values - values.min()) / spread * 255) / 255 * spread - values.min()).mean()
    assert np.abs(book[index] - values).mean() <= 1.05 * even
    nearest = np.abs(values[:500, None] - book).argmin(axis=1)
    assert np.abs(book[index[:500]] - book[nearest]).max() < 1e-5


def test_no_values_have_a_codebook():
    book, index = codebook(np.zeros(0, dtype="f4"))
    assert len(book) == 256
    assert len(index) == 0


def test_few_vectors_are_their_own_palette():
    vectors = torch.randn(50, 9)
    entries, labels = palette(vectors, 64)
    assert torch.equal(entries[labels], vectors)


@pytest.mark.parametrize(("n", "size"), [(3000, 100), (5000, 1000), (9000, 4000)])
def test_clusters_that_are_apart_are_found(n: int, size: int):
    generator = torch.Generator().manual_seed(2)
    centers = 10 * torch.randn(40, 9, generator=generator)
    vectors = centers[torch.randint(40, (n,), generator=generator)] + 0.01 * torch.randn(n, 9, generator=generator)
    entries, labels = palette(vectors, size)
    assert len(entries) <= size
    assert (entries[labels] - vectors).square().mean().sqrt() < 0.1 * centers.std()


@pytest.mark.parametrize("same", [0, 1, 2900])
def test_vectors_may_be_alike(same: int):
    vectors = torch.cat([torch.randn(3000 - same, 9), torch.zeros(same, 9)])
    entries, labels = palette(vectors, 600)
    assert len(entries) <= 600
    assert labels.max() < len(entries)
    assert (entries[labels] - vectors).square().mean() <= vectors.square().mean()


def test_a_palette_is_the_same_every_time():
    vectors = torch.randn(2000, 9)
    (a, i), (b, j) = (palette(vectors, 300) for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(i, j)
