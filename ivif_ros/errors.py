# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Exceptions that the package raises on purpose.

Each message names the thing that is wrong, what was expected and what to do. Shells (nodes,
command line) catch `IvifError`; anything else is a defect of the package.
"""


class IvifError(Exception):
    """Base of all errors that a caller can expect and act on."""


class ImageError(IvifError, ValueError):
    """An image or image message that cannot be used: encoding, shape, step, size, dtype or content.

    Attributes:
        reason: short stable name for counters, e.g. `bad_encoding`, `short_data`, `bad_step`,
            `empty`.
    """

    def __init__(self, message: str, reason: str = 'bad_image') -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason


class ParameterError(IvifError, ValueError):
    """A parameter that does not exist, has the wrong type or lies outside its range."""


class CalibrationError(IvifError, ValueError):
    """A calibration that is missing, unreadable, contradictory or of other cameras."""


class MissingDependencyError(IvifError, ImportError):
    """An optional package is needed for what was asked and is not installed."""


class SourceError(IvifError, OSError):
    """A recording, folder or video that cannot be read."""


class OutputError(IvifError, OSError):
    """A file or folder that cannot be written."""


class WeightsError(IvifError, ValueError):
    """Model weights that are missing, truncated or belong to something else."""
