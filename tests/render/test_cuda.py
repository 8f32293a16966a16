"""What only the gsplat adapter has to get right; the promises of every rasterizer are in test_protocol."""

import pytest
import torch

from splatpaint.errors import BackendError
from splatpaint.render import cuda, reference
from splatpaint.scene.splats import concatenate
from tests.support.closeness import cosine, relative_l2
from tests.support.scenes import cloud, orbit, splat_at


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_error_names_the_fix():
    with pytest.raises(BackendError, match="install a CUDA build of torch"):
        cuda.require_kernels()


def test_no_splats_never_reach_the_kernels():
    rendered = cuda.rasterize(cloud(0), orbit(2), background=torch.ones(3))
    assert (rendered.color == 1).all()


@pytest.mark.gpu
def test_what_is_not_drawn_has_no_garbage_in_it():
    behind = splat_at(*[(0.0, 0.0, 100.0)] * 500)  # behind the first camera of the orbit or far off its image
    splats = concatenate([cloud(500, spread=6.0), behind]).to("cuda")
    rendered = cuda.rasterize(splats, orbit(4).to("cuda"))
    drawn = rendered.radii > 0
    assert drawn.any()
    assert not drawn.all()
    assert rendered.means2d.isfinite().all()
    assert not rendered.means2d[~drawn].any()


@pytest.mark.gpu
def test_the_kernels_agree_with_the_reference_in_double_precision():
    splats, cameras = cloud(2000, degree=3, spread=1.5), orbit(3, width=97, height=61, focal=80.0)
    got = cuda.rasterize(splats.to("cuda"), cameras.to("cuda")).color
    wanted = reference.rasterize(splats.to(torch.float64), cameras.to(torch.float64)).color
    assert relative_l2(got, wanted) < 2e-3
    assert cosine(got, wanted) > 0.99999
    assert abs((got.cpu().double() - wanted).mean()) < 1e-5


@pytest.mark.gpu
def test_gradients_flow_through_channel_chunks():
    splats, cameras = cloud(300).to("cuda"), orbit(2).to("cuda")
    features = torch.randn(300, 3 * cuda.CHANNELS_AT_ONCE + 1, device="cuda", requires_grad=True)
    rendered = cuda.rasterize(splats, cameras, features=features)
    rendered.color.sum().backward()
    assert features.grad is not None
    # Every channel is weighted alike, so all columns of the gradient are the splats' total weights.
    torch.testing.assert_close(features.grad, features.grad[:, :1].expand_as(features), rtol=1e-4, atol=1e-4)
