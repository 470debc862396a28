# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network in a file takes and gives, as declared beside it.

The declaration of `net.onnx` is the YAML file `net.onnx.yaml`. Every key may be left out; what the
file of the network itself says (number, names and channels of its inputs, a fixed size) is used
then, and after that the values below.

    inputs: [visible, thermal]   # what each input takes, in order; `visible+thermal` and
                                 # `thermal+visible` are one input with the channels of both
    visible: luma                # channels of the visible image: luma, rgb or bgr
    thermal_channels: 1          # 3 repeats the thermal image
    range: [0, 1]                # of the inputs: black and white, such as [-1, 1] or [0, 255]
    layout: nchw                 # or nhwc
    output: luma                 # luma, rgb or bgr
    output_index: 0              # of networks with several outputs
    output_range: [0, 1]         # left out: that of the inputs
    multiple: 1                  # sizes must be multiples of this; images are continued up to it
    size: [640, 480]             # width and height, where the network takes no other
    overlap: 32                  # pixels of context that a tile of a large image needs on each side
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ivif_ros.errors import ParameterError

COLOURS = {'luma': 1, 'rgb': 3, 'bgr': 3}
"""Form of an image -> number of channels."""

SIDECAR = '.yaml'
"""Added to the name of the network's file."""

_INPUTS = (('visible', 'thermal'), ('thermal', 'visible'), ('visible+thermal',),
           ('thermal+visible',))
_CHOICES = {'visible': tuple(COLOURS), 'output': tuple(COLOURS), 'layout': ('nchw', 'nhwc'),
            'thermal_channels': (1, 3)}
_LEAST = {'output_index': 0, 'multiple': 1, 'overlap': 0}
_THERMAL_WORDS = re.compile(r'(^|[^a-z])(ir|inf|infra\w*|therm\w*|tir|lwir)([^a-z]|$)')
_RGB = 0.299, 0.587, 0.114


@dataclasses.dataclass(frozen=True)
class Convention:
    """Inputs and outputs of a network; the keys of the file are the fields."""

    inputs: tuple[str, ...] = ('visible', 'thermal')
    visible: str = 'luma'
    thermal_channels: int = 1
    range: tuple[float, float] = (0.0, 1.0)
    layout: str = 'nchw'
    output: str = 'luma'
    output_index: int = 0
    output_range: tuple[float, float] | None = None
    multiple: int = 1
    size: tuple[int, int] | None = None
    overlap: int = 32

    @property
    def colour(self) -> bool:
        """True where the network takes the colours of the visible image."""
        return self.visible != 'luma'

    @property
    def fixed(self) -> tuple[int, int] | None:
        """Height and width, where the network takes no others."""
        return None if self.size is None else (self.size[1], self.size[0])

    def channels(self) -> list[int]:
        """Number of channels of each input."""
        own = {'visible': COLOURS[self.visible], 'thermal': self.thermal_channels}
        return [sum(own[part] for part in item.split('+')) for item in self.inputs]

    def pack(self, visible: Tensor, thermal: Tensor, dtype: torch.dtype) -> list[Tensor]:
        """Make the inputs of the network.

        Args:
            visible: (1, 1, H, W) luma or (1, 3, H, W) R, G, B, as `colour` says, in 0..1.
            thermal: (1, 1, H, W) in 0..1.
            dtype: of the inputs.
        """
        low, high = self.range
        parts = {'visible': visible.flip(1) if self.visible == 'bgr' else visible,
                 'thermal': thermal.expand(-1, self.thermal_channels, -1, -1)}
        inputs = []
        for item in self.inputs:
            image = torch.cat([parts[part] for part in item.split('+')], 1)
            image = image.mul(high - low).add_(low).to(dtype)
            inputs.append((image.permute(0, 2, 3, 1) if self.layout == 'nhwc' else image)
                          .contiguous())
        return inputs

    def unpack(self, fused: Tensor, height: int, width: int) -> Tensor:
        """Make (1, 1, H, W) float32 luma in 0..1 of the output of the network.

        Raises:
            ParameterError: not one image of this size with the channels that are declared.
        """
        count = COLOURS[self.output]
        form = (height, width, count) if self.layout == 'nhwc' else (count, height, width)
        # Dimensions of length 1 are where networks differ: batch and channel may be left out.
        if [n for n in fused.shape if n != 1] != [n for n in form if n != 1]:
            raise ParameterError(
                f'gives {tuple(fused.shape)} for an image of {width}x{height}, expected '
                f'{(1, *form)}: set output, output_index, layout, multiple or size')
        image = fused.float().reshape(1, *form)
        if self.layout == 'nhwc':
            image = image.permute(0, 3, 1, 2)
        if count == 3:
            weights = _RGB if self.output == 'rgb' else _RGB[::-1]
            image = (image * image.new_tensor(weights)[:, None, None]).sum(1, keepdim=True)
        low, high = self.output_range or self.range
        return (image - low) / (high - low)


def sidecar_path(path: str) -> Path:
    """Where the declaration of a network's file is, there or not."""
    return Path(path + SIDECAR)


def read_sidecar(path: str) -> dict[str, Any]:
    """Read the declaration beside a network's file; empty where there is none.

    Raises:
        ParameterError: unreadable, or with keys or values that do not exist.
    """
    file = sidecar_path(path)
    if not file.is_file():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8')) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise ParameterError(f"convention '{file}' cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"convention '{file}' must have lines 'key: value'")
    known = {item.name for item in dataclasses.fields(Convention)}
    for key, value in content.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ''
            raise ParameterError(f"convention '{file}' has the unknown key '{key}'{hint}")
        problem = _problem(key, value)
        if problem:
            raise ParameterError(f"convention '{file}': {key} is {value!r}, expected {problem}")
    return {key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()}


def detect(names: Sequence[str], shapes: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Tell as much as possible from the inputs of a network.

    Args:
        names: of its inputs.
        shapes: their dimensions, numbers where they are fixed; empty where nothing is known.

    Raises:
        ParameterError: more inputs than two.
    """
    if len(names) not in (1, 2):
        raise ParameterError(f'has {len(names)} inputs ({", ".join(names)}), expected visible and '
                             'thermal, or one with both as channels')
    found: dict[str, Any] = {}
    dims = [list(shape) if len(shape) == 4 else [None] * 4 for shape in shapes]
    if any(dim[3] in (1, 2, 3, 4, 6) and dim[1] not in (1, 2, 3, 4, 6) for dim in dims):
        found['layout'] = 'nhwc'
        dims = [[dim[0], dim[3], dim[1], dim[2]] for dim in dims]
    if isinstance(dims[0][2], int) and isinstance(dims[0][3], int):
        found['size'] = (dims[0][3], dims[0][2])
    if len(names) == 1:
        found['inputs'] = ('visible+thermal',)
        # 2: luma and thermal; 4: colours and thermal; 6: colours and the thermal image repeated.
        if dims[0][1] in (4, 6):
            found['visible'] = 'rgb'
            found['thermal_channels'] = dims[0][1] - 3
        return found
    thermal = [bool(_THERMAL_WORDS.search(name.lower())) for name in names]
    found['inputs'] = ('thermal', 'visible') if thermal == [True, False] else ('visible', 'thermal')
    channels = dict(zip(found['inputs'], (dim[1] for dim in dims), strict=True))
    if channels['visible'] == 3:
        found['visible'] = 'rgb'
    if channels['thermal'] == 3:
        found['thermal_channels'] = 3
    return found


def _problem(key: str, value: Any) -> str:
    """Say what a value should be; empty where it is fine."""
    if key in _CHOICES:
        return '' if value in _CHOICES[key] else f'one of {list(_CHOICES[key])}'
    if key in _LEAST:
        fine = type(value) is int and value >= _LEAST[key]
        return '' if fine else f'a whole number from {_LEAST[key]}'
    if key == 'inputs':
        fine = isinstance(value, list) and tuple(value) in _INPUTS
        return '' if fine else f'one of {[list(item) for item in _INPUTS]}'
    pair = isinstance(value, list) and len(value) == 2
    if key == 'size':
        fine = pair and all(type(item) is int and item > 0 for item in value)
        return '' if fine else '[width, height] in pixels'
    fine = pair and all(type(item) in (int, float) for item in value) and value[0] < value[1]
    return '' if fine else '[black, white], such as [0, 1], [-1, 1] or [0, 255]'


def as_sidecar(values: Mapping[str, Any]) -> str:
    """Write declarations as the text of a sidecar file."""
    plain = {key: list(value) if isinstance(value, tuple) else value
             for key, value in values.items()}
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None)
