# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fusion engine: colour, dtypes, device and missing thermal pixels around a fusion method."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from ivif_ros.errors import ImageError
from ivif_ros.fusion import registry
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.coverage import complete
from ivif_ros.fusion.device import select_device
from ivif_ros.parameters import FusionParameters
from ivif_ros.types import Size

# ITU-R BT.601 luma of blue, green and red, as OpenCV's BGR to grey.
LUMA = (0.114, 0.587, 0.299)


class FusionEngine:
    """Fuses a colour and a thermal image on one device.

    The luma (BT.601) is fused by a method of the registry, the colour is kept: see `recolour`. One
    thread at a time may use an engine. Inputs are never changed or kept, and each result is a new
    tensor that belongs to the caller: it may be published or queued while the next pair is fused.

    Attributes:
        device: where the images must be and the work is done.
        device_reason: why it is this device, for people.
        method: name of the method in use.
    """

    def __init__(self, params: FusionParameters) -> None:
        """Choose the device and load the method.

        Args:
            params: method, device and number of CPU threads; 0 leaves the defaults of the process.

        Raises:
            ParameterError: unknown method or unusable device.
        """
        if params.threads > 0:
            torch.set_num_threads(params.threads)
            cv2.setNumThreads(params.threads)
        self.device, self.device_reason = select_device(params.device)
        self._arena = Arena(self.device)
        self.set_method(params.method)

    def set_method(self, name: str) -> None:
        """Use another method from the next pair on.

        Raises:
            ParameterError: unknown name; the method in use stays.
        """
        self._fuse_luma = registry.create(name)
        self.method = name

    def warm_up(self, size: Size) -> None:
        """Fuse one empty pair of this width and height, so that the first real one is not slow."""
        width, height = size
        rgb = torch.zeros(height, width, 3, dtype=torch.uint8, device=self.device)
        thermal = torch.zeros(height, width, dtype=torch.uint8, device=self.device)
        weight = torch.ones(height, width, device=self.device)
        for mask in (None, weight):
            self.fuse(rgb, thermal, mask)
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    @torch.inference_mode()
    def fuse(self, rgb: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse one registered pair.

        Args:
            rgb: (H, W, 3) uint8 BGR on the engine's device.
            thermal: (H, W) uint8, warm is bright, on the RGB grid.
            weight: (H, W) float32 in 0..1, how far to trust each thermal pixel; 0 where there is
                none. None trusts all of them.

        Returns:
            (H, W, 3) uint8 BGR. Where the weight is 0 it equals `rgb`; next to such areas it runs
            smoothly into `rgb`.

        Raises:
            ImageError: shapes, dtypes or devices that do not fit together.
        """
        self._check(rgb, thermal, weight)
        arena = self._arena
        arena.restart()
        height, width = thermal.shape
        planes = _to_planes(rgb, arena)
        visible = torch.mul(planes[0], LUMA[0] / 255, out=arena.empty(height, width))
        visible.add_(planes[1], alpha=LUMA[1] / 255).add_(planes[2], alpha=LUMA[2] / 255)
        warm = arena.empty(height, width).copy_(thermal).mul_(1 / 255)
        if weight is None:
            fused = self._fuse_luma(visible[None, None], warm[None, None], None)[0, 0]
        else:
            warm, fade = complete(warm, weight, arena)
            fused = self._fuse_luma(visible[None, None], warm[None, None], weight[None, None])[0, 0]
            fused = torch.lerp(visible, fused, fade, out=fade)
        return _to_image(recolour(planes, visible, fused, arena), arena)

    def _check(self, rgb: Tensor, thermal: Tensor, weight: Tensor | None) -> None:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != torch.uint8 or not rgb.numel():
            raise ImageError(
                f'RGB image is {tuple(rgb.shape)} {rgb.dtype}, expected (H, W, 3) uint8 of at '
                'least 1x1', 'bad_shape')
        wanted = [('thermal image', thermal, torch.uint8)]
        if weight is not None:
            wanted.append(('weight', weight, torch.float32))
        for name, image, dtype in wanted:
            if image.shape != rgb.shape[:2] or image.dtype != dtype:
                raise ImageError(
                    f'{name} is {tuple(image.shape)} {image.dtype}, expected '
                    f'{tuple(rgb.shape[:2])} {dtype} like the RGB image: register the thermal '
                    'image first (ivif_ros.registration, ivif register)', 'bad_shape')
        for name, image, _ in [('RGB image', rgb, torch.uint8), *wanted]:
            if image.device != self.device:
                raise ImageError(
                    f'{name} is on {image.device}, the engine on {self.device}: move it with '
                    '.to(engine.device)', 'bad_device')


def recolour(planes: Tensor, luma: Tensor, fused: Tensor, arena: Arena) -> Tensor:
    """Give a colour image a new luma and keep its hue.

    Brighter pixels get the difference of the luma on all three channels, which leaves Cb and Cr as
    they are: raising dark pixels does not raise their colour noise. Darker pixels are scaled, as in
    shadow, which keeps their saturation. Where a channel would leave 0..255, the distance of the
    colour from grey shrinks just so far that it fits: clipping a single channel would turn the hue.

    Args:
        planes: (3, H, W) float32 B, G, R in 0..255; changed in place.
        luma: (H, W) float32 of the planes, 0..1.
        fused: (H, W) float32 new luma; outside 0..1 it is clipped.
        arena: memory for intermediate results.

    Returns:
        `planes`, in 0..255 within rounding.
    """
    tiny = 1e-6
    with arena.scratch():
        goal = torch.clamp(fused, 0, 1, out=arena.empty(*luma.shape))
        scale = torch.maximum(planes[0], planes[1], out=arena.empty(*luma.shape))
        torch.maximum(scale, planes[2], out=scale).mul_(1 / 255).sub_(luma).add_(tiny)
        buffer = torch.sub(1 + tiny, goal, out=arena.empty(*luma.shape))
        torch.div(buffer, scale, out=scale).clamp_(max=1)
        shadow = torch.add(luma, tiny, out=arena.empty(*luma.shape))
        torch.div(torch.add(goal, tiny, out=buffer), shadow, out=shadow)
        torch.minimum(scale, shadow, out=scale)
        # 255 goal + scale (colour - 255 luma)
        goal.addcmul_(luma, scale, value=-1).mul_(255)
        return planes.mul_(scale).add_(goal)


def _to_planes(image: Tensor, arena: Arena) -> Tensor:
    """Turn (H, W, 3) uint8 into (3, H, W) float32."""
    height, width = image.shape[:2]
    planes = arena.empty(3, height, width)
    if image.device.type != 'cpu':
        return planes.copy_(image.permute(2, 0, 1))
    # OpenCV shuffles bytes several times faster than a strided copy.
    with arena.scratch():
        levels = arena.bytes(3, height, width)
        cv2.split(image.numpy(), list(levels.numpy()))
        return planes.copy_(levels)


def _to_image(planes: Tensor, arena: Arena) -> Tensor:
    """Round (3, H, W) float32 to a new (H, W, 3) uint8."""
    _, height, width = planes.shape
    if planes.device.type != 'cpu':
        levels = planes.round_().clamp_(0, 255).to(torch.uint8)
        return torch.stack((levels[0], levels[1], levels[2]), -1)
    image = torch.empty(height, width, 3, dtype=torch.uint8)
    with arena.scratch():
        levels = arena.bytes(3, height, width)
        # Rounds to even and saturates as above; there is nothing negative but rounding errors.
        cv2.convertScaleAbs(planes.view(3 * height, width).numpy(),
                            levels.view(3 * height, width).numpy())
        cv2.merge(list(levels.numpy()), image.numpy())
    return image
