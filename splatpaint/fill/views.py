"""The one noun for a view of the scene without the object: its maps, kept in nine bytes a pixel."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float16, UInt8
from torch import Tensor

from splatpaint.masks.removal import Removal
from splatpaint.masks.visibility import DepthView, as_half
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photos

THIS_PHOTO, OTHER_PHOTO, NOBODY = 0, 1, 2
"""Who observed what a pixel shows once the object is gone: the view's own photo, photos of other views, or none."""
KEPT, REMOVED = 0, 1
"""Whether the splats that show a pixel were kept, or went with the object."""
MIN_ALPHA = 0.1
"""Colors are divided by no smaller opacity: where the kept splats are fainter, they say nothing about color."""


@dataclass(frozen=True, eq=False)
class ObservedView:
    """One view without the object. Make it with `ObservedView.of`."""

    camera: Cameras
    """A batch of one."""
    _image: UInt8[Tensor, "1 3 h w"]
    _depth: Float16[Tensor, "1 1 h w"]
    _alpha: Float16[Tensor, "1 1 h w"]
    source: UInt8[Tensor, "1 1 h w"]
    """THIS_PHOTO, OTHER_PHOTO or NOBODY."""
    support: UInt8[Tensor, "1 1 h w"]
    """KEPT or REMOVED."""

    @classmethod
    def of(
        cls,
        camera: Cameras,
        image: Float[Tensor, "1 3 h w"],
        *,
        depth: Float[Tensor, "1 1 h w"],
        alpha: Float[Tensor, "1 1 h w"],
        observed: Tensor,
        unobserved: Tensor,
        support_removed: Tensor,
    ) -> "ObservedView":
        """Packs the maps.

        Args:
            camera: a batch of one.
            image: sRGB in [0, 1]: the photo, or the kept splats where the object hid them; meaningless where unobserved.
            depth: z-depth of the kept splats in world units; 0 = unknown.
            alpha: accumulated opacity of the kept splats.
            observed: (1, 1, h, w), true where the view's own photo shows the scene.
            unobserved: true where no photo does. Wins over `observed`.
            support_removed: true where the image is known but its splats went with the object.
        """
        source = torch.where(observed > 0, THIS_PHOTO, OTHER_PHOTO)
        source = torch.where(unobserved > 0, NOBODY, source).byte()
        return cls(
            camera,
            image.clamp(0, 1).mul(255).round().byte(),
            as_half(depth),
            alpha.half(),
            source,
            torch.where(support_removed > 0, REMOVED, KEPT).byte(),
        )

    def with_maps(self, **maps: Tensor) -> "ObservedView":
        """The view with some of the maps that `of` takes replaced."""
        names = ("image", "depth", "alpha", "observed", "unobserved", "support_removed")
        return ObservedView.of(self.camera, **({name: getattr(self, name) for name in names} | maps))

    @property
    def image(self) -> Float[Tensor, "1 3 h w"]:
        """sRGB in [0, 1]."""
        return self._image.float() / 255

    @property
    def depth(self) -> Float[Tensor, "1 1 h w"]:
        """z-depth of the kept splats in world units; 0 = unknown."""
        return self._depth.float()

    @property
    def alpha(self) -> Float[Tensor, "1 1 h w"]:
        """Accumulated opacity of the kept splats."""
        return self._alpha.float()

    @property
    def observed(self) -> Float[Tensor, "1 1 h w"]:
        """1 where the view's own photo shows the scene."""
        return (self.source == THIS_PHOTO).float()

    @property
    def unobserved(self) -> Float[Tensor, "1 1 h w"]:
        """1 where no photo shows the scene: the hole."""
        return (self.source == NOBODY).float()

    @property
    def support_removed(self) -> Float[Tensor, "1 1 h w"]:
        """1 where the image is known, but its splats went with the object."""
        return (self.support == REMOVED).float()

    @property
    def unknown(self) -> Float[Tensor, "1 1 h w"]:
        """1 where the image says nothing: unobserved, or observed by others whose splats went with the object."""
        return ((self.source == NOBODY) | ((self.support == REMOVED) & (self.source != THIS_PHOTO))).float()

    @property
    def in_fill_region(self) -> Bool[Tensor, "1 1 h w"]:
        """Where the fill belongs: unobserved, or without support."""
        return (self.source == NOBODY) | (self.support == REMOVED)

    @property
    def fill_region(self) -> Float[Tensor, "1 1 h w"]:
        """1 where the fill belongs."""
        return self.in_fill_region.float()

    def depth_where(self, mask: Bool[Tensor, "1 1 h w"]) -> DepthView:
        """The depth of the kept splats where the mask is true, unknown elsewhere."""
        return DepthView(self.camera, self._depth * mask)


def observed_views(photos: Photos, removal: Removal, rasterizer: Rasterizer) -> list[ObservedView]:
    """Every supervising view without the object."""
    result = []
    for photo, hole in zip(photos, removal.holes, strict=True):
        kept = rasterizer(removal.kept, photo.camera)
        observed = (photo.usable > 0) & ~hole.occluded
        behind = kept.color / kept.alpha.clamp_min(MIN_ALPHA)  # as if nothing shone through
        image = torch.where(observed, hole.lit(photo.image), behind.clamp(0, 1))
        view = ObservedView.of(
            photo.camera,
            image,
            depth=kept.depth,
            alpha=kept.alpha,
            observed=observed,
            unobserved=hole.unobserved,
            support_removed=hole.support_removed,
        )
        result.append(view)
    return result


def with_context(views: list[ObservedView]) -> list[ObservedView]:
    """The views of which something is known. A close-up of the object may be unknown from edge to edge."""
    return [view for view in views if not view.unknown.all()]
