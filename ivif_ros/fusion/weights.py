# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files with the weights of fusion networks.

A file holds a dictionary of plain values and tensors, `{'format': 1, 'network': name, 'config':
keyword arguments, 'state': state_dict, 'training': how it was made}`. It is read with PyTorch's
`weights_only`, which runs no code from the file.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import OutputError, ParameterError
from ivif_ros.fusion.networks import NETWORKS, VARIANTS, build

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
FOLDER = Path(__file__).with_name('weights')
"""Where the weights that come with the package are: <name>.pt."""


def shipped_path(name: str) -> Path:
    """Path of the weights of a network or variant in the package, there or not."""
    return FOLDER / f'{VARIANTS[name][0] if name in VARIANTS else name}.pt'


def shipped_names() -> list[str]:
    """Names of the networks and variants whose weights are in the package; loads nothing."""
    return [name for name in (*NETWORKS, *VARIANTS) if shipped_path(name).is_file()]


def save_weights(path: str | os.PathLike[str], network_name: str, config: Mapping[str, Any],
                 module: nn.Module, training: Mapping[str, Any]) -> None:
    """Write the weights of a network, completely or not at all.

    Args:
        path: file, `.pt` by custom.
        network_name: a name of `ivif_ros.fusion.networks.NETWORKS`.
        config: keyword arguments that make the network again.
        module: the network; its weights are stored in the type that they have.
        training: plain values that say how it was made (command, steps, seed, metrics).

    Raises:
        OutputError: the file cannot be written.
    """
    import torch

    path = Path(path)
    state = {key: value.detach().cpu() for key, value in module.state_dict().items()}
    content = {'format': FORMAT, 'network': network_name, 'config': dict(config), 'state': state,
               'training': dict(training)}
    part = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(f"weights '{path}' cannot be written: {error}") from error


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a weights file without making the network.

    Raises:
        ParameterError: missing or unreadable file, or one of another kind.
    """
    import torch

    if not Path(path).is_file():
        raise ParameterError(f"weights file '{path}' does not exist; correct the path or leave "
                             'fusion.weights empty for the weights of the package')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition('\n')[0]
        raise ParameterError(
            f"weights file '{path}' is damaged or of another kind ({reason}); expected a file "
            'that ivif_ros.training.fusion wrote: copy it again') from error
    if not isinstance(content, dict) or content.get('format') != FORMAT or not {
            'network', 'config', 'state'} <= content.keys():
        raise ParameterError(
            f"weights file '{path}' is not a weights file of ivif_ros (format {FORMAT}); expected "
            'a file that ivif_ros.training.fusion wrote. Other networks are used by '
            'fusion.method onnx:FILE or torchscript:FILE')
    return content


def load_network(name: str, path: str | os.PathLike[str] = '') -> nn.Module:
    """Make a network with trained weights, in `eval()` mode, float32, on the CPU.

    Args:
        name: a name of NETWORKS or VARIANTS in `ivif_ros.fusion.networks`.
        path: weights file; empty for the one in the package.

    Raises:
        ParameterError: unknown name; a file that is missing, damaged or of another network.
    """
    base, changes = VARIANTS.get(name, (name, {}))
    if base not in NETWORKS:
        raise ParameterError(f"unknown fusion network '{name}', expected one of "
                             f"{', '.join((*NETWORKS, *VARIANTS))}")
    if not path and not shipped_path(name).is_file():
        raise ParameterError(
            f"this installation has no weights for fusion method '{name}': name a file by "
            f'fusion.weights, or train them (python -m ivif_ros.training.fusion {base} --help)')
    path = path or shipped_path(name)
    content = read_weights(path)
    if content['network'] != base:
        raise ParameterError(
            f"weights file '{path}' belongs to fusion method '{content['network']}', expected "
            f"'{base}'; choose that method or another file")
    network = build(base, **{**content['config'], **changes})
    try:
        network.load_state_dict(content['state'])
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:200]
        raise ParameterError(
            f"weights file '{path}' does not fit fusion method '{name}' of this version ({reason});"
            ' train it again') from error
    return network.float().eval()
