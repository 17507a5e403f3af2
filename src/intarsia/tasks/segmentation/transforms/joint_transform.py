"""What transforms of an image and its masks have in common."""

from __future__ import annotations

from collections.abc import Callable

from intarsia.data.transforms.image_transform import Array, Drawn, ImageTransform
from intarsia.data.transforms.transform import Results


class JointTransform(ImageTransform):
    """A step that does to the masks of a sample what it does to its image.

    What is drawn once is applied to the image and to every field that ``results['seg_fields']`` names. ``img_shape``
    and ``pad_shape`` follow the image.
    """

    apply_to_mask: Callable[..., Array]
    """``apply_to_mask(mask, **drawn)``: :attr:`apply` for a mask ``(H, W)``, whose labels must not be mixed."""

    def change(self, results: Results, drawn: Drawn) -> Results:
        """Apply what was drawn to the image and its masks."""
        super().change(results, drawn)
        for field in results.get('seg_fields') or ():
            results[field] = self.apply_to_mask(results[field], **drawn)
        results['pad_shape'] = results['img'].shape
        return results
