# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Choice of the device that computes."""

from __future__ import annotations

import torch

from ivif_ros.errors import ParameterError


def select_device(name: str) -> tuple[torch.device, str]:
    """Find the device for a name.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` takes CUDA where it works, else the CPU.

    Returns:
        The device and, for people, why it is this one.

    Raises:
        ParameterError: an unknown name, or a CUDA device that does not work.
    """
    kind, _, index = name.partition(':')
    if name == 'cpu':
        return torch.device('cpu'), 'cpu as configured'
    if name != 'auto' and (kind != 'cuda' or (':' in name and not index.isdigit())):
        raise ParameterError(f"device is '{name}', expected auto, cpu, cuda or cuda:N")
    device = torch.device('cuda', int(index or 0))
    problem = _cuda_problem(device)
    if not problem:
        return device, f'{device} ({torch.cuda.get_device_name(device)})'
    if name == 'auto':
        return torch.device('cpu'), f'cpu because {problem}'
    raise ParameterError(f"device '{name}' cannot be used because {problem}; set it to auto or cpu")


def _cuda_problem(device: torch.device) -> str:
    """Say why a CUDA device does not work; empty where it does."""
    if not torch.backends.cuda.is_built():
        return 'this PyTorch was built without CUDA'
    if not torch.cuda.is_available():
        return 'PyTorch finds no CUDA device'
    if (device.index or 0) >= torch.cuda.device_count():
        return f'there are only {torch.cuda.device_count()} CUDA devices'
    try:
        # A device can be listed and still be unusable: too old for this build, full, or lost.
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as error:
        return f'{device} fails: {str(error).splitlines()[0]}'
    return ''
