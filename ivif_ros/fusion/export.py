# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks as ONNX or TorchScript files, for other runtimes and for `onnx:` and `torchscript:`.

Each file is compared with the network before it gets its name, and a declaration of its inputs and
outputs is written beside it (`ivif_ros.fusion.convention`).
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ivif_ros.errors import MissingDependencyError, OutputError, ParameterError
from ivif_ros.fusion.convention import as_sidecar, sidecar_path
from ivif_ros.fusion.external import load_external
from ivif_ros.fusion.registry import MethodOptions
from ivif_ros.fusion.trial import trial_pictures
from ivif_ros.fusion.weights import load_network, shipped_names
from ivif_ros.types import Size

KINDS = {'.onnx': 'onnx', '.pt': 'torchscript'}
"""Suffix of the file -> kind of method that loads it."""

TOLERANCE = 1e-3
"""Largest difference in luma: a quarter of a grey level."""

CHECK_SIZES = ((640, 480), (640, 512), (320, 256))
"""Width and height of the pictures that are compared, rounded up to the network's multiple."""

LARGEST = 8192
"""Largest side of an image that an ONNX file takes."""


def export_method(name: str, path: Path, size: Size | None = None, weights: str = '') -> float:
    """Write a method that is a network to a file, and check it.

    Args:
        name: of the method.
        path: `.onnx` or `.pt` (TorchScript); an existing file is replaced once the new one is good.
        size: (width, height) where the file shall take no other; None for any.
        weights: file in place of the weights of the package; empty for those.

    Returns:
        Largest difference in luma (0..1) between the file and the network on pictures.

    Raises:
        ParameterError: not a network, unusable weights, or a file that would not be equal.
        MissingDependencyError: a package for the format is not installed.
        OutputError: the file cannot be written.
    """
    if path.suffix not in KINDS:
        raise ParameterError(f"'{path}' must end in {' or '.join(KINDS)}")
    try:
        network: Any = load_network(name, weights)
    except ParameterError as error:
        usable = ', '.join(shipped_names()) or 'none'
        raise ParameterError(
            f"method '{name}' cannot be exported: {error} (networks with weights: {usable})"
        ) from error
    convention: dict[str, Any] = {'inputs': ('visible', 'thermal'), 'overlap': network.OVERLAP}
    convention.update({'size': size} if size else {'multiple': network.MULTIPLE})
    # Same suffix, so that the checks load it like any other.
    part = path.with_name(f'.{path.stem}.part{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        (_write_onnx if path.suffix == '.onnx' else _write_torchscript)(network, part, size)
        sidecar_path(str(part)).write_text(
            f'# fusion method {name} of ivif_ros\n{as_sidecar(convention)}', encoding='utf-8')
        difference = _difference(network, part, size)
        if not difference <= TOLERANCE:
            raise ParameterError(
                f"method '{name}' differs by {difference:.2g} from its {path.suffix} file, at most "
                f'{TOLERANCE:g} is allowed; nothing was written. Try the other format'
                f"{'' if size else ' or a fixed size'}")
        os.replace(sidecar_path(str(part)), sidecar_path(str(path)))
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error}") from error
    finally:
        for left in (part, sidecar_path(str(part))):
            with contextlib.suppress(OSError):
                left.unlink()
    return difference


class _TwoInputs(nn.Module):
    """A network without the optional weight."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        fused: Tensor = self.network(visible, thermal)
        return fused


def _example(network: Any, size: Size | None) -> tuple[Tensor, Tensor]:
    """Inputs of this width and height, or of one that needs no padding."""
    multiple: int = network.MULTIPLE
    width, height = size or (-(-192 // multiple) * multiple, -(-128 // multiple) * multiple)
    return trial_pictures(height, width)


def _write_onnx(network: Any, path: Path, size: Size | None) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"export to ONNX needs '{error.name}': pip install 'ivif_ros[export]'") from error
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 6):
        raise MissingDependencyError(
            f'export to ONNX needs PyTorch 2.6 or newer, this is {torch.__version__}')
    shapes = None
    if size is None:
        multiple: int = network.MULTIPLE
        dims = {2 + axis: (multiple if multiple > 1 else 1) * torch.export.Dim(
            name, min=max(2, 16 // multiple), max=LARGEST // multiple)
            for axis, name in enumerate(('rows', 'columns'))}
        shapes = {'visible': dims, 'thermal': dims}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            _TwoInputs(network).eval(), _example(network, size), str(path),
            input_names=['visible', 'thermal'], output_names=['fused'], dynamo=True,
            dynamic_shapes=shapes, external_data=False, verbose=False,
            optimize=False)  # its optimiser takes 1e-12 for 0 and drops it from sums


def _write_torchscript(network: Any, path: Path, size: Size | None) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # it warns of every decision by shape
        traced = torch.jit.trace(
            _TwoInputs(network).eval(), _example(network, size), check_trace=False)
        traced.save(str(path))


def _difference(network: Any, path: Path, size: Size | None) -> float:
    """Largest difference between a network and its file, loaded as users load it."""
    method = load_external(KINDS[path.suffix], str(path), MethodOptions())
    multiple: int = network.MULTIPLE
    sizes = [size] if size else [tuple(-(-side // multiple) * multiple for side in item)
                                 for item in CHECK_SIZES]
    changes = []
    with torch.inference_mode():
        for width, height in sizes:
            visible, thermal = trial_pictures(height, width)
            changes.append(method(visible, thermal, None) - network(visible, thermal))
    # The maximum of tensors is NaN where one value is.
    return float(torch.stack([change.abs().max() for change in changes]).max())
