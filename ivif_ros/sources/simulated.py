# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulated rig as a source of frames, and the texts that set it up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.simulation.config import LIGHTINGS
from ivif_ros.types import Array, Frame, Sensor


class SimulatedSource(FrameSource):
    """Frames of a simulated rig without end, with the truth about them.

    Args:
        config: settings of the rig.

    Attributes:
        rig: the rig itself, for its calibration and further truth (boxes, depth).
    """

    def __init__(self, config: RigConfig) -> None:
        """Build the world; takes a second or two."""
        super().__init__()
        self.rig = SimulatedRig(config)

    @classmethod
    def from_text(cls, text: str) -> SimulatedSource:
        """Make the source that a text such as `sim:dusk,seed=3` describes; see rig_config.

        Raises:
            SourceError: an unknown option or a value that does not fit.
        """
        return cls(rig_config(text))

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Render the frames in the order in which they arrive."""
        return self.rig.frames(math.inf)

    def describe(self) -> str:
        """Name what tells one simulation from another."""
        config = self.rig.config
        rgb, thermal = ('x'.join(map(str, size)) for size in (config.rgb_size, config.thermal_size))
        return (f'simulated rig: {config.lighting}, seed {config.seed}, rgb {rgb} at '
                f'{config.rgb_hz:g} Hz, thermal {thermal} at {config.thermal_hz:g} Hz')

    def true_map(self, rgb_stamp_ns: int) -> Array | None:
        """Where each RGB pixel lies in the thermal image of the same instant."""
        return self.rig.true_map(self.rig.capture_time_s('rgb', rgb_stamp_ns))


def rig_config(text: str) -> RigConfig:
    """Read the options of a simulated rig.

    Args:
        text: `sim`, or `sim:` with options separated by commas: `name=value` for every field of
            RigConfig (sizes as 640x480, tuples as 1/2/3), a lighting (`day`, `dusk`, `night`), or
            the name of a switch (`smoke`, `haze`, `glare`).

    Raises:
        SourceError: an unknown option or a value that does not fit.
    """
    defaults = {field.name: field.default for field in fields(RigConfig)}
    options: dict[str, Any] = {}
    for option in filter(None, (part.strip() for part in text.partition(':')[2].split(','))):
        name, given, value = option.partition('=')
        if not given and name in LIGHTINGS:
            options['lighting'] = name
        elif name not in defaults:
            raise SourceError(f"'{name}' of source '{text}' is not an option of the simulator; "
                              f"expected {', '.join(LIGHTINGS)} or {', '.join(defaults)}")
        else:
            options[name] = _value(text, name, value if given else 'true', defaults[name])
    try:
        return RigConfig(**options)
    except ParameterError as error:
        raise SourceError(f"source '{text}': {error}") from error


def _value(text: str, name: str, value: str, default: Any) -> Any:
    """Turn the text of one option into the type of its default."""
    try:
        if isinstance(default, bool):
            return {'true': True, 'false': False}[value.lower()]
        if isinstance(default, (int, float)):
            return type(default)(value)
        if name.endswith('_size'):
            width, height = value.lower().split('x')
            return int(width), int(height)
        if isinstance(default, tuple):
            return tuple(float(part) for part in value.split('/'))
    except (KeyError, ValueError) as error:
        raise SourceError(f"'{name}={value}' of source '{text}' does not fit, expected something "
                          f"like '{default}'") from error
    return value
