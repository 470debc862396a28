# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fusion engine: colour, dtypes, device and missing thermal pixels around a fusion method."""

from __future__ import annotations

from dataclasses import replace

import cv2
import torch
from torch import Tensor

from ivif_ros.errors import ImageError
from ivif_ros.fusion import registry
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.colour_map import ColourMap
from ivif_ros.fusion.contribution import contribution
from ivif_ros.fusion.controls import Controls
from ivif_ros.fusion.coverage import complete
from ivif_ros.fusion.device import select_device
from ivif_ros.fusion.graph import WARM_UP, Graphed
from ivif_ros.fusion.steadiness import Steadiness
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
    """

    def __init__(self, params: FusionParameters) -> None:
        """Choose the device and load the method.

        Args:
            params: everything about fusion; `threads` is the number of CPU threads of the whole
                process, 0 leaves its defaults.

        Raises:
            ParameterError: unknown method or unusable device, weights or file of a network.
            MissingDependencyError: a package that the method needs is not installed.
        """
        if params.threads > 0:
            torch.set_num_threads(params.threads)
            cv2.setNumThreads(params.threads)
        self.device, self.device_reason = select_device(params.device)
        self._arena, self._spare_arena = Arena(self.device), Arena(self.device)
        self._graphed = Graphed(self._fuse)
        self._params = params
        self._fuse_luma = self._create(params)
        self._set_controls(params)

    @property
    def method(self) -> str:
        """Name of the method in use."""
        return self._params.method

    def set_parameters(self, params: FusionParameters) -> None:
        """Take what may change at run time from the next pair on.

        That is the method, its weights, steadiness and the operator's controls: emphasis, priors,
        colour map.

        Raises:
            ParameterError: a method, weights or colour map that cannot be used; nothing is changed
                then.
            MissingDependencyError: the same for a package that is not installed.
        """
        method, old = self._fuse_luma, self._params
        if (params.method, params.weights) != (old.method, old.weights):
            method = self._create(params)
        self._set_controls(params)
        self._fuse_luma, self._params = method, params

    def set_method(self, name: str) -> None:
        """Use another method, with its own weights, from the next pair on.

        Raises:
            ParameterError: unknown name or unusable file; the method in use stays.
            MissingDependencyError: the same for a package that is not installed.
        """
        self.set_parameters(replace(self._params, method=name, weights=''))

    def warm_up(self, size: Size) -> None:
        """Fuse one empty pair of this width and height, so that the first real one is not slow."""
        width, height = size
        rgb = torch.zeros(height, width, 3, dtype=torch.uint8, device=self.device)
        thermal = torch.zeros(height, width, dtype=torch.uint8, device=self.device)
        weight = torch.ones(height, width, device=self.device)
        # Often enough for a CUDA graph; the weight comes last because streams have one.
        for mask in (None, weight):
            for _ in range(1 if self.device.type == 'cpu' else WARM_UP + 1):
                self.fuse(rgb, thermal, mask)
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    @torch.inference_mode()
    def fuse(self, rgb: Tensor, thermal: Tensor, weight: Tensor | None = None, *,
             follows: bool = False) -> Tensor:
        """Fuse one registered pair.

        Args:
            rgb: (H, W, 3) uint8 BGR on the engine's device.
            thermal: (H, W) uint8, warm is bright, on the RGB grid.
            weight: (H, W) float32 in 0..1, how far to trust each thermal pixel; 0 where there is
                none. None trusts all of them.
            follows: the pair before belongs to the same stream, a moment earlier: where neither
                camera sees a change, the result stays near that of the pair before (parameter
                `steadiness`). Pairs of another size, and the first one after new parameters, follow
                nothing.

        Returns:
            (H, W, 3) uint8 BGR. Where the weight is 0 it equals `rgb`; next to such areas it runs
            smoothly into `rgb`.

        Raises:
            ImageError: shapes, dtypes or devices that do not fit together.
        """
        self._check(rgb, thermal, weight)
        captured = self.device.type == 'cuda' and getattr(self._fuse_luma, 'capturable', True)
        if self._steadiness is not None:
            self._steadiness.follow(follows)
        fused = (self._graphed if captured else self._fuse)(rgb, thermal, weight)
        if self._steadiness is not None:
            self._steadiness.advance()
        return fused

    def _fuse(self, rgb: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        arena = self._arena
        arena.restart()
        height, width = thermal.shape
        planes = _to_planes(rgb, arena)
        visible = _luma(planes, arena)
        warm = arena.empty(height, width).copy_(thermal).mul_(1 / 255)
        fade = mask = None
        if weight is not None:
            warm, fade = complete(warm, weight, arena)
            mask = weight[None, None]
        colour = getattr(self._fuse_luma, 'colour', False)
        image = planes.flip(0).mul_(1 / 255)[None] if colour else visible[None, None]
        fused = self._fuse_luma(image, warm[None, None], mask)[0, 0]
        fused = self._controls.apply(visible, warm, fused, fade, arena)
        # After the controls, which raise noise with the targets; before the RGB image comes back
        # where there is no thermal one, where it must stay what it is.
        if self._steadiness is not None:
            fused = self._steadiness.apply(visible, warm, fused, arena)
        if fade is not None:
            fused = torch.lerp(visible, fused, fade, out=arena.empty(height, width))
        recolour(planes, visible, fused, arena)
        if self._colours is not None:
            self._colours.apply(planes, thermal, fade, arena)
        return _to_image(planes, arena)

    @torch.inference_mode()
    def contribution(self, rgb: Tensor, thermal: Tensor, fused: Tensor,
                     weight: Tensor | None = None) -> Tensor:
        """Measure which camera a fused image relies on, place by place.

        Args:
            rgb: (H, W, 3) uint8 BGR as given to `fuse`.
            thermal: (H, W) uint8 as given to `fuse`.
            fused: (H, W, 3) uint8 BGR, result of `fuse`.
            weight: (H, W) float32 as given to `fuse`.

        Returns:
            (H, W) uint8: 0 where the image is the RGB image, as wherever the weight is 0, up to 255
            where it is the thermal image.

        Raises:
            ImageError: shapes, dtypes or devices that do not fit together.
        """
        self._check(rgb, thermal, weight)
        self._check(fused, thermal, weight)
        arena = self._spare_arena  # a CUDA graph holds on to the other one
        arena.restart()
        warm = arena.empty(*thermal.shape).copy_(thermal).mul_(1 / 255)
        share = contribution(_luma(_to_planes(rgb, arena), arena), warm,
                             _luma(_to_planes(fused, arena), arena), arena)
        if weight is not None:
            share.mul_(weight > 0)
        return share.mul_(255).round_().to(torch.uint8)

    def _set_controls(self, params: FusionParameters) -> None:
        colours = None
        if params.colour_map != 'none' and params.colour_map_blend > 0:
            colours = ColourMap(params.colour_map, params.colour_map_blend, self.device)
        self._controls, self._colours = Controls(params), colours
        self._steadiness = (
            Steadiness(params.steadiness, self.device) if params.steadiness > 0 else None)
        self._graphed.reset()

    def _create(self, params: FusionParameters) -> registry.Method:
        return registry.create(params.method, registry.MethodOptions(
            str(self.device), params.precision, params.weights, params.tile, params.threads))

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


def _luma(planes: Tensor, arena: Arena) -> Tensor:
    """BT.601 luma (H, W) in 0..1 of (3, H, W) float32 B, G, R in 0..255."""
    luma = torch.mul(planes[0], LUMA[0] / 255, out=arena.empty(*planes.shape[1:]))
    return luma.add_(planes[1], alpha=LUMA[1] / 255).add_(planes[2], alpha=LUMA[2] / 255)


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
