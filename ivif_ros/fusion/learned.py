# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of `ivif_ros.fusion.networks` as fusion methods: device, precision, tiles."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.registry import MethodOptions
from ivif_ros.fusion.tiling import Tiling, bytes_per_pixel, memory_budget
from ivif_ros.fusion.trial import trial_pictures
from ivif_ros.fusion.weights import load_network

PRECISIONS = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}

HALF_TOLERANCE = 2 / 255
"""Difference in luma up to which `auto` takes half precision: two grey levels."""

_log = logging.getLogger(__name__)


def in_precision(network: nn.Module, name: str, device: torch.device) -> nn.Module:
    """Put a float32 network on a device in the precision of a name, channels last.

    Args:
        network: in `eval()` mode, on the CPU; moved.
        name: of PRECISIONS, or `auto`: float32 on a CPU; elsewhere float16, if the network then
            still gives the same picture.
        device: where it will run.

    Raises:
        ParameterError: unknown name.
    """
    if name != 'auto' and name not in PRECISIONS:
        raise ParameterError(
            f"fusion.precision is '{name}', expected auto, {', '.join(PRECISIONS)}")
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if name != 'auto':
        return network.to(PRECISIONS[name])
    if device.type == 'cpu':
        return network
    half = copy.deepcopy(network).half()
    difference = _difference(network, half, device)
    if difference <= HALF_TOLERANCE:
        return half
    _log.info('%s stays in float32: in float16 it differs by %.3g', type(network).__name__,
              difference)
    return network


@torch.inference_mode()
def _difference(network: nn.Module, half: nn.Module, device: torch.device) -> float:
    """Largest difference in luma; NaN or infinity where half precision is not enough at all."""
    visible, thermal = trial_pictures(128, 192, device)
    exact: Tensor = network(visible, thermal)
    rough: Tensor = half(visible.half(), thermal.half())
    return float((exact - rough.float()).abs().max())


class NetworkMethod:
    """A trained network as a fusion method.

    Attributes:
        network: the network on its device.
    """

    def __init__(self, name: str, options: MethodOptions) -> None:
        """Load the weights and try the network on one small image.

        Raises:
            ParameterError: weights, precision or tile that cannot be used.
        """
        device = torch.device(options.device)
        network: Any = load_network(name, options.weights).requires_grad_(False)
        exact = options.precision in ('auto', 'float32')
        function: Any
        if device.type == 'cpu' and exact and hasattr(network, 'deploy'):
            function = network.deploy()  # in the memory layout that it likes
        else:
            network = in_precision(network, options.precision, device)
            function = self._run
        self.network = network
        self._dtype = next(network.parameters()).dtype
        try:
            need = bytes_per_pixel(function, device)
        except RuntimeError as error:
            raise ParameterError(
                f"fusion method '{name}' does not run on {device} in {self._dtype} "
                f'({str(error).splitlines()[0]}): set fusion.precision to auto') from error
        self._function = function
        self._tiling = Tiling(
            overlap=network.OVERLAP, multiple=network.MULTIPLE, side=options.tile,
            pixels=int(memory_budget(device) / max(need, 1)))

    @torch.inference_mode()
    def __call__(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        """Fuse (1, 1, H, W) luma planes in 0..1."""
        return self._tiling.apply(self._function, visible, thermal, weight)

    def _run(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        planes = [plane if plane is None else plane.to(self._dtype)
                  for plane in (visible, thermal, weight)]
        fused: Tensor = self.network(*planes)
        return fused.float()
