"""Points where the photos show something and no sparse point lies: walls without corners, far backgrounds, the sky.

Sparse points cluster where features were matched. Elsewhere the training would have to stretch and move the nearest splats
until they cover what the photos show, which takes longer than it has. Here every photo is divided into cells, and an empty cell
gets a point whose depth a plane sweep finds in small pictures (Collins, "A space-sweep approach to true multi-image matching",
1996).
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from splatpaint.masks.visibility import DepthView
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photo
from splatpaint.scene.views import PointCloud

SIDE_PX = 96
"""Longer side of the pictures that are compared; smaller photos are compared as they are."""
CELL_PX = 4
"""Side of a cell in such a picture."""
WHOLLY = 0.999
"""A cell gets a point if all of it, but for rounding, is usable: its color must not be an object's that is left out."""
NEIGHBORS = 3
"""Views that each view is compared with."""
PLANES = 32
"""Depths that are tried, evenly spaced in disparity."""
NEAREST, FARTHEST = 0.7, 4.0
"""The depths of the sparse points in a frame, times these, are where the planes begin and end."""
OUTLIERS = 0.02
"""Share of the sparse points at either end that may be errors of matching."""
NOISE = 0.02
"""Standard deviation of brightness that is no texture."""
AS_GOOD = 0.02
"""Of all depths whose correlation is that close to the best one, the farthest is taken."""
SURE = 0.5
"""Where no depth has such a correlation, as in a clear sky, the farthest is taken: behind all else, a point is in no other
photo's way."""
BEFORE = 0.75
"""Sparse points hide what lies behind them if their depth is smaller than this share of its depth."""


@torch.no_grad()
def swept_points(photos: Iterable[Photo], points: PointCloud) -> PointCloud:
    """The given points and one more for every cell of a photo in which there was none.

    A photo does not say alone where a point is: one stays if others have it in their frames, and at least half of these have
    no sparse points before it. (In a room, what one photo alone shows would end up behind a wall, and shine through every gap.)

    Args:
        photos: at least one, of any sizes, decoded one after the other; with one alone there is nothing to compare, and the
            points stay as they are.
        points: in world units, on the surfaces of the scene.
    """
    pictures = [_Picture(photo) for photo in photos]
    device = pictures[0].gray.device
    sparse = points.positions.to(device)
    positions, colors = sparse, points.colors.to(device)
    surfaces = [picture.surface(sparse) for picture in pictures]
    for number, others in enumerate(_neighbors([picture.camera for picture in pictures])):
        picture = pictures[number]
        empty = picture.usable & (picture.surface(positions).depth == 0)
        if not others or not empty.any():
            continue
        planes = _planes(picture.camera, sparse)
        depth = _sweep(picture, [pictures[other] for other in others], planes)
        found = picture.cells.unproject_where(depth, empty)
        stays = _in_sight(found, [*surfaces[:number], *surfaces[number + 1 :]])
        positions = torch.cat([positions, found[stays]])
        colors = torch.cat([colors, picture.colors[0, :, empty[0, 0]].T[stays]])
    return PointCloud(positions, colors)


def _in_sight(points: Float[Tensor, "n 3"], surfaces: Sequence[DepthView]) -> Bool[Tensor, " n"]:
    """Points that at least half of the views, and one, that have them in their frames see nothing before."""
    free, framed = (torch.zeros(len(points), dtype=torch.long, device=points.device) for _ in range(2))
    for surface in surfaces:
        sighting = surface.sight(points)
        hidden = (sighting.surface > 0) & (sighting.surface < BEFORE * sighting.depth)
        framed += sighting.in_frame
        free += sighting.in_frame & ~hidden
    return (framed > 0) & (2 * free >= framed)


class _Picture:
    """A small picture of a photo, and its cells."""

    def __init__(self, photo: Photo) -> None:
        height, width = photo.image.shape[-2:]
        scale = min(1.0, SIDE_PX / max(height, width))
        rows, columns = (max(1, round(side * scale / CELL_PX)) for side in (height, width))
        self.cells = photo.camera.resized(columns, rows)
        self.camera = photo.camera.resized(columns * CELL_PX, rows * CELL_PX)
        image = interpolate(photo.image, (self.camera.height, self.camera.width), mode="area")
        self.gray = image.mean(dim=1, keepdim=True)
        self.mean = _windows(self.gray)
        self.variance = (_windows(self.gray.square()) - self.mean.square()).clamp_min(0) + NOISE**2
        self.usable: Bool[Tensor, "1 1 r c"] = interpolate(photo.usable, (rows, columns), mode="area") > WHOLLY
        self.colors = (avg_pool2d(image, CELL_PX) * 255).round().byte()

    def surface(self, points: Float[Tensor, "n 3"]) -> DepthView:
        """The depth of the nearest point of every cell; 0 where there is none."""
        row, column, depth, inside = self.cells.find(points)
        nearest = torch.full_like(self.variance[0, 0], torch.inf).flatten()
        nearest.scatter_reduce_(0, (row * self.cells.width + column)[inside], depth[inside], "amin")
        return DepthView(self.cells, nearest.where(nearest < torch.inf, 0.0).reshape(self.variance.shape))


def _windows(image: Float[Tensor, "v 1 h w"]) -> Float[Tensor, "v 1 r c"]:
    """Means over windows twice as wide as the cells, around each cell."""
    return avg_pool2d(image, 2 * CELL_PX, stride=CELL_PX, padding=CELL_PX // 2, count_include_pad=False)


def _neighbors(cameras: Sequence[Cameras]) -> list[list[int]]:
    """For each camera those with the most similar poses: distance in units of the median distance, plus angle in radians."""
    centers = torch.cat([camera.centers for camera in cameras])
    axes = torch.cat([camera.cam_from_world[:, 2, :3] for camera in cameras])
    distances = torch.cdist(centers, centers)
    cost = distances / distances.median().clamp_min(1e-12) + torch.arccos((axes @ axes.T).clamp(-1, 1))
    cost.fill_diagonal_(torch.inf)
    return cost.topk(min(NEIGHBORS, len(cameras) - 1), largest=False).indices.tolist()


def _planes(camera: Cameras, sparse: Float[Tensor, "n 3"]) -> Float[Tensor, " d"]:
    """z-depths, the farthest first."""
    _, _, depth, inside = camera.find(sparse)
    depth = depth[inside] if inside.any() else torch.ones(1).to(depth)
    near, far = (float(depth.quantile(share)) for share in (OUTLIERS, 1 - OUTLIERS))
    return 1 / torch.linspace(1 / (FARTHEST * far), 1 / (NEAREST * near), PLANES).to(depth)


def _sweep(picture: _Picture, others: Sequence[_Picture], planes: Float[Tensor, " d"]) -> Float[Tensor, "1 1 r c"]:
    """The farthest depth of every cell at which the pictures correlate as well as at any other."""
    scores = torch.stack([_correlation(picture, other, planes) for other in others])
    score = scores.topk((len(others) + 1) // 2, dim=0).values.mean(dim=0)  # what is before it may hide it from the others
    best = score.amax(dim=0)
    first = ((score >= best - AS_GOOD) | (best < SURE)).byte().argmax(dim=0)
    return planes[first][None]


def _correlation(picture: _Picture, other: _Picture, planes: Float[Tensor, " d"]) -> Float[Tensor, "d 1 r c"]:
    """Correlation of the windows around every cell with those in another picture, for each plane; 0 outside its frame."""
    other_from_this = other.camera.cam_from_world[0] @ picture.camera.world_from_cam[0]
    directions = picture.camera.rays()[0] @ (other.camera.K[0] @ other_from_this[:3, :3]).T
    homogeneous = directions * planes[:, None, None, None] + other.camera.K[0] @ other_from_this[:3, 3]
    x, y, depth = homogeneous.unbind(dim=-1)
    size = torch.tensor([other.camera.width, other.camera.height]).to(x)
    grid = torch.stack([x, y], dim=-1) / (depth.clamp_min(1e-6)[..., None] * size) * 2 - 1
    inside = ((grid.abs() <= 1).all(dim=-1) & (depth > 0))[:, None]
    warped = grid_sample(other.gray.expand(len(grid), -1, -1, -1), grid, align_corners=False, padding_mode="border")
    mean = _windows(warped)
    variance = (_windows(warped.square()) - mean.square()).clamp_min(0) + NOISE**2
    covariance = _windows(warped * picture.gray) - mean * picture.mean
    return covariance / (variance * picture.variance).sqrt() * (_windows(inside.float()) == 1)
