"""Agreement with the published numbers is tested where the trunks are at hand; everything else with random trunks."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from splatpaint.errors import WeightsError
from splatpaint.image import perceptual
from splatpaint.image.perceptual import Lpips, Net, find_trunk

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights"


def random_trunk(folder: Path, net: Net = "alex") -> Path:
    trunk = perceptual._alexnet() if net == "alex" else perceptual._vgg16()
    path = folder / perceptual.FILE_NAMES[net][0]
    torch.save({f"features.{name}": value for name, value in trunk.state_dict().items()}, path)
    return path


def read(name: str) -> Tensor:
    pixels = np.asarray(Image.open(PUBLISHED / "reference" / f"ex_{name}.png").convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize(("net", "expected"), [("alex", {"p0": 0.7219, "p1": 0.1376}), ("vgg", {"p0": 0.5686, "p1": 0.4217})])
def test_published_distances_are_reproduced(net: Net, expected: dict[str, float]):
    if not PUBLISHED.is_dir():
        pytest.skip("the ImageNet trunks are not on this machine")
    lpips = Lpips(net, weights=PUBLISHED)
    for name, value in expected.items():
        assert lpips(read("ref"), read(name)).item() == pytest.approx(value, abs=6e-4)


def test_a_picture_is_at_distance_zero_from_itself(tmp_path: Path):
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(Lpips(weights=random_trunk(tmp_path))(x, x), torch.zeros(2))


def test_distance_is_symmetric_and_grows_with_noise(tmp_path: Path):
    lpips = Lpips(weights=random_trunk(tmp_path))
    x, noise = torch.rand(1, 3, 64, 64), torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(lpips(x, x + 0.1 * noise), lpips(x + 0.1 * noise, x))
    assert 0 < lpips(x, x + 0.02 * noise) < lpips(x, x + 0.2 * noise)


def test_map_shows_where_pictures_differ(tmp_path: Path):
    lpips = Lpips(weights=random_trunk(tmp_path))
    x = torch.rand(1, 3, 256, 256)
    y = x.clone()
    y[..., :32, :32] = 0
    distances = lpips.map(x, y)
    assert distances.shape == (1, 1, 256, 256)
    assert distances[..., :32, :32].mean() > 10 * distances[..., -64:, -64:].mean()


def test_gradient_reaches_the_picture_but_not_the_network(tmp_path: Path):
    lpips = Lpips(weights=random_trunk(tmp_path))
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    lpips(x, torch.rand(1, 3, 64, 64)).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in lpips.parameters())


def test_a_missing_trunk_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"alexnet-owt-7be5be79\.pth"):
        Lpips("alex")


def test_the_folder_given_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    given, named = random_trunk(tmp_path / "a"), random_trunk(tmp_path / "b")
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path / "b"))
    assert find_trunk("alex", tmp_path / "a") == given
    assert find_trunk("alex", given) == given
    assert find_trunk("alex") == named


def test_a_trunk_that_is_nowhere_is_downloaded_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "server").mkdir()
    monkeypatch.setattr(perceptual, "DOWNLOADS", f"{(tmp_path / 'server').as_uri()}/")
    with pytest.raises(WeightsError, match="cannot be reached"):
        find_trunk("alex")
    served = random_trunk(tmp_path / "server")
    with pytest.raises(WeightsError, match="cannot be reached"):
        find_trunk("alex")  # its checksum is not the one in its name
    digest = hashlib.sha256(served.read_bytes()).hexdigest()[:8]
    served.rename(served.with_name(f"alexnet-owt-{digest}.pth"))
    monkeypatch.setitem(perceptual.FILE_NAMES, "alex", (f"alexnet-owt-{digest}.pth",))
    found = find_trunk("alex")
    assert found.parent == tmp_path / "hub" / "checkpoints"
    Lpips("alex")
