# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of fusion networks: those of the package, and those of other files.

The files are described in `ivif_ros.weights_file`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.networks import NETWORKS, VARIANTS, build
from ivif_ros.weights_file import WeightsKind

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).with_name('weights')
"""Where the weights that come with the package are: <name>.pt."""

_KIND = WeightsKind(
    'fusion method', 'ivif_ros.training.fusion', error=ParameterError,
    if_missing='correct the path or leave fusion.weights empty for the weights of the package',
    if_other='Other networks are used by fusion.method onnx:FILE or torchscript:FILE')


def shipped_path(name: str) -> Path:
    """Path of the weights of a network or variant in the package, there or not."""
    return FOLDER / f'{VARIANTS[name][0] if name in VARIANTS else name}.pt'


def shipped_names() -> list[str]:
    """Names of the networks and variants whose weights are in the package; loads nothing."""
    return [name for name in (*NETWORKS, *VARIANTS) if shipped_path(name).is_file()]


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a weights file without making the network.

    Raises:
        ParameterError: missing or unreadable file, or one of another kind.
    """
    return _KIND.read(path)


def restore(network: nn.Module, name: str, path: str | os.PathLike[str]) -> None:
    """Load the weights of a file into a network, in place.

    Args:
        network: the network.
        name: its name in `ivif_ros.fusion.networks.NETWORKS`.
        path: weights file.

    Raises:
        ParameterError: a file that is missing, damaged or of another network.
    """
    content = _KIND.read(path)
    _KIND.check_network(content, path, name)
    _KIND.restore(network, content, path, name)


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
    content = _KIND.read(path)
    _KIND.check_network(content, path, base)
    network = build(base, **{**content['config'], **changes})
    _KIND.restore(network, content, path, name)
    return network.float().eval()
