# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Any network in a file as a fusion method: `onnx:PATH` and `torchscript:PATH`.

What it takes and gives is told by the file itself and by a declaration beside it, see
`ivif_ros.fusion.convention`. A run on a small picture checks that they fit. Files keep the floating
point type they were saved with.
"""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ivif_ros.errors import IvifError, MissingDependencyError, ParameterError
from ivif_ros.fusion.convention import Convention, detect, read_sidecar, sidecar_path
from ivif_ros.fusion.registry import MethodOptions
from ivif_ros.fusion.tiling import PROBE, RAMP, Tiling, bytes_per_pixel, memory_budget
from ivif_ros.fusion.trial import trial_pictures

BYTES_PER_PIXEL = 128, 1024
"""Memory that a network in a file is reckoned to need at least, and where it cannot be measured."""

TRIALS = ((128, 192), (160, 128))
"""Height and width of the pictures a network is tried with."""

TRIAL_RANGE = -0.5, 1.5
"""What the mean of a fused trial picture can be: wider than black to white, because networks
overshoot, but not as wide as a wrong range makes it."""

TRIAL_CONTRAST = 1 / 64
"""Least difference between its darkest and brightest pixel: four grey levels."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A network that has been read.

    Attributes:
        names: of its inputs.
        shapes: of its inputs; what is not a number is free. Empty where nothing is known.
        dtype: of its inputs.
        measurable: True where PyTorch sees its memory.
        run: takes the inputs and the index of an output, gives that output.
    """

    names: list[str]
    shapes: list[list[Any]]
    dtype: torch.dtype
    measurable: bool
    run: Callable[[Sequence[Tensor], int], Tensor]


class ExternalMethod:
    """A network in a file as a fusion method.

    Attributes:
        colour: True where it takes the colours of the visible image, see `registry`.
        convention: what it takes and gives.
        measurable: True where PyTorch sees its memory.
    """

    capturable = False

    def __init__(self, loaded: Loaded, convention: Convention, options: MethodOptions) -> None:
        """Put the network and its convention together.

        Raises:
            ParameterError: a fixed size or wished tile that is too small.
        """
        self.convention = convention
        self.colour = convention.colour
        self.measurable = loaded.measurable
        self._loaded = loaded
        self._options = options
        self.set_need(BYTES_PER_PIXEL[1])

    def set_need(self, bytes_per_pixel: float) -> None:
        """Choose tiles for the memory that the network needs."""
        overlap, fixed = self.convention.overlap, self.convention.fixed
        if fixed is not None:
            overlap = min(overlap, (min(fixed) - 2 * RAMP) // 2)
            if overlap < 0:
                raise ParameterError(f'takes {fixed[1]}x{fixed[0]} only; the least that can be put '
                                     f'together to larger images is {2 * RAMP}x{2 * RAMP}')
        budget = memory_budget(torch.device(self._options.device))
        self._tiling = Tiling(
            overlap=overlap, multiple=self.convention.multiple, fixed=fixed, pad=True,
            side=0 if fixed else self._options.tile,
            pixels=int(budget / max(bytes_per_pixel, BYTES_PER_PIXEL[0])))

    @torch.inference_mode()
    def __call__(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        """Fuse (1, 1, H, W) planes in 0..1; visible is (1, 3, H, W) R, G, B where `colour`."""
        return self._tiling.apply(self.run, visible, thermal, None)

    def run(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        """Fuse planes of a size that the network takes."""
        height, width = thermal.shape[-2:]
        return self.convention.unpack(self.raw(visible, thermal), height, width)

    def raw(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Output of the network as it is, for planes of a size that it takes."""
        inputs = self.convention.pack(visible, thermal, self._loaded.dtype)
        return self._loaded.run(inputs, self.convention.output_index)


def load_external(kind: str, path: str, options: MethodOptions) -> ExternalMethod:
    """Read a network and try it.

    Args:
        kind: `onnx` or `torchscript`.
        path: its file.
        options: device and threads.

    Raises:
        ParameterError: a file that is missing or damaged, or a convention that does not fit.
        MissingDependencyError: onnxruntime is not installed.
    """
    name = f'{kind}:{path}'
    if not os.path.isfile(path):
        raise ParameterError(f"fusion method '{name}': the file does not exist")
    read = _read_onnx if kind == 'onnx' else _read_torchscript
    try:
        return _fit(read(path, options), read_sidecar(path), options)
    except ParameterError as error:
        raise ParameterError(f"fusion method '{name}': {error}; its convention is declared in "
                             f"'{sidecar_path(path)}' (docs/external_networks.md)") from error


def _fit(loaded: Loaded, declared: dict[str, Any], options: MethodOptions) -> ExternalMethod:
    """Find the convention of a network and check it on small pictures."""
    convention = Convention(**{**detect(loaded.names, loaded.shapes), **declared})
    if len(convention.inputs) != len(loaded.names):
        raise ParameterError(f'has {len(loaded.names)} inputs ({", ".join(loaded.names)}), the '
                             f'convention names {len(convention.inputs)}')
    axis = 3 if convention.layout == 'nhwc' else 1
    for name, shape, count in zip(
            loaded.names, loaded.shapes, convention.channels(), strict=True):
        if len(shape) == 4 and isinstance(shape[axis], int) and shape[axis] != count:
            raise ParameterError(f"input '{name}' has {shape[axis]} channels, the convention gives "
                                 f'it {count}: set inputs, visible or thermal_channels')
    method = ExternalMethod(loaded, convention, options)
    resident = _resident_bytes()
    for index, (height, width) in enumerate(TRIALS):
        height, width = convention.fixed or tuple(
            -(-length // convention.multiple) * convention.multiple for length in (height, width))
        planes = trial_pictures(height, width, options.device, 3 if method.colour else 1)
        try:
            with torch.inference_mode():
                raw = method.raw(*planes)
        except IvifError:
            raise
        except Exception as error:  # whatever a runtime of other people raises
            raise ParameterError(
                f'fails on a picture of {width}x{height} ({_first_line(error)}): set inputs, '
                'visible, thermal_channels, layout, multiple or size') from error
        if index == 0 and 'output' not in declared and raw.ndim == 4 and raw.shape[axis] == 3:
            convention = dataclasses.replace(convention, output='rgb')
            method = ExternalMethod(loaded, convention, options)
        _check_picture(convention.unpack(raw, height, width), raw)
    if convention.fixed is None:
        method.set_need(_need(method, torch.device(options.device), resident))
    return method


def _need(method: ExternalMethod, device: torch.device, resident: int) -> float:
    """Bytes per pixel, from the operations or from the growth of the process by the trials."""
    height, width = TRIALS[0]
    if method.measurable and PROBE % method.convention.multiple == 0:
        return bytes_per_pixel(method.run, device, 3 if method.colour else 1)
    if method.measurable or device.type != 'cpu' or not resident:
        return BYTES_PER_PIXEL[1]
    # onnxruntime keeps the memory of its largest run.
    return (_resident_bytes() - resident) / (height * width)


def _resident_bytes() -> int:
    """Memory of the process; 0 where the system does not say."""
    try:
        with open('/proc/self/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    except OSError:
        return 0


def _check_picture(fused: Tensor, raw: Tensor) -> None:
    """Raise where the output cannot be a picture in the range that is declared."""
    low, high, mean = (float(x) for x in (fused.min(), fused.max(), fused.mean()))
    spans = f'gives values from {float(raw.min()):.3g} to {float(raw.max()):.3g}'
    if not math.isfinite(low + high):
        raise ParameterError(f'{spans} on a trial picture: set range')
    if not TRIAL_RANGE[0] < mean < TRIAL_RANGE[1] or high - low < TRIAL_CONTRAST:
        raise ParameterError(f'{spans} on a trial picture with black to white, which is no picture '
                             'in the declared range: set range and output_range')


def _numpy_type(dtype: torch.dtype) -> Any:
    return np.dtype(str(dtype).removeprefix('torch.'))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript puts its own traceback first and the reason last.
    return (lines[-1] if 'Traceback' in str(error) else lines[0])[:200] if lines else 'no reason'


def _read_torchscript(path: str, options: MethodOptions) -> Loaded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)  # people have such files
            module = torch.jit.load(path, map_location=options.device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ParameterError(f'damaged, or no TorchScript ({_first_line(error)}); write it with '
                             'torch.jit.save') from error
    names = [item.name for item in module.forward.schema.arguments[1:]
             if not item.has_default_value()]
    floats = [item.dtype for item in module.parameters() if item.is_floating_point()]

    def run(inputs: Sequence[Tensor], index: int) -> Tensor:
        result = module(*inputs)
        result = result[index] if isinstance(result, (tuple, list)) else result
        assert isinstance(result, Tensor)
        return result

    dtype = floats[0] if floats else torch.float32
    return Loaded(names, [[] for _ in names], dtype, True, run)


def _read_onnx(path: str, options: MethodOptions) -> Loaded:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"fusion method 'onnx:{path}' needs onnxruntime: pip install onnxruntime "
            '(onnxruntime-gpu for CUDA)') from error
    device = torch.device(options.device)
    providers: list[Any] = ['CPUExecutionProvider']
    if device.type == 'cuda':
        if 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
            raise ParameterError('this onnxruntime has no CUDA: pip install onnxruntime-gpu, or '
                                 'set fusion.device to cpu')
        providers.insert(0, ('CUDAExecutionProvider', {'device_id': device.index or 0}))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=providers)
    except Exception as error:  # its exceptions have no common base
        raise ParameterError(f'damaged, or no ONNX model that this onnxruntime can run '
                             f'({_first_line(error)})') from error
    return _loaded_session(session, device)


def _loaded_session(session: Any, device: torch.device) -> Loaded:
    """Run an ONNX session on tensors where they are, without copies."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    dtypes = {'tensor(float)': torch.float32, 'tensor(float16)': torch.float16}
    kinds = {item.type for item in inputs}
    if len(kinds) != 1 or not kinds <= dtypes.keys():
        raise ParameterError(f"its inputs are {', '.join(sorted(kinds))}, expected all "
                             'tensor(float) or all tensor(float16)')
    dtype = dtypes[kinds.pop()]
    shapes: dict[tuple[Any, ...], tuple[tuple[int, ...], torch.dtype]] = {}

    def run(tensors: Sequence[Tensor], index: int) -> Tensor:
        if index >= len(outputs):
            raise ParameterError(f'has {len(outputs)} outputs, output_index is {index}')
        key = (tensors[0].shape, index)
        if key not in shapes:
            # The first time of each size shows what shape it gives.
            given = {item.name: tensor.cpu().numpy()
                     for item, tensor in zip(inputs, tensors, strict=True)}
            first = torch.from_numpy(session.run([outputs[index].name], given)[0])
            shapes.clear()
            shapes[key] = tuple(first.shape), first.dtype
            return first.to(device)
        shape, kind = shapes[key]
        result = torch.empty(shape, dtype=kind, device=device)
        binding = session.io_binding()
        for bind, item, tensor in [
                *((binding.bind_input, *pair) for pair in zip(inputs, tensors, strict=True)),
                (binding.bind_output, outputs[index], result)]:
            bind(item.name, device.type, device.index or 0, _numpy_type(tensor.dtype),
                 tuple(tensor.shape), tensor.data_ptr())
        if device.type == 'cuda':
            torch.cuda.current_stream(device).synchronize()  # it has a stream of its own
        session.run_with_iobinding(binding)
        return result

    shapes_of = [list(item.shape) for item in inputs]
    return Loaded([item.name for item in inputs], shapes_of, dtype, False, run)
