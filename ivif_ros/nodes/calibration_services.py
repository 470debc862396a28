# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Services that start the registration anew and save what it has found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from std_srvs.srv import Trigger

from ivif_ros.errors import IvifError
from ivif_ros.nodes.base import BaseNode
from ivif_ros.registration import Calibration, save_calibration
from ivif_ros.registration.rig_words import rig_view


class CalibrationServices:
    """`~/recalibrate` and `~/save_calibration`.

    Args:
        node: node that serves.
        recalibrate: forgets what was estimated.
        estimated: gives what is known about the rig. Where one of both raises IvifError, that is
            the answer.
    """

    def __init__(self, node: BaseNode, recalibrate: Callable[[], None],
                 estimated: Callable[[], Calibration]) -> None:
        """Open the services."""
        self._node = node
        self._recalibrate = recalibrate
        self._estimated = estimated
        self._accepted_before = 0
        self._services = [
            node.create_service(Trigger, '~/recalibrate', self._serve(self._on_recalibrate)),
            node.create_service(Trigger, '~/save_calibration', self._serve(self._on_save))]

    def close(self) -> None:
        """Close the services."""
        for service in self._services:
            self._node.destroy_service(service)
        self._services.clear()

    def _serve(self, action: Callable[[], str]) -> Callable[
            [Trigger.Request, Trigger.Response], Trigger.Response]:
        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.message = action()
                response.success = True
            except IvifError as error:
                response.message = str(error)
            except Exception as error:
                self._node.report('service', error)
                response.message = f'unexpected {type(error).__name__}, see the log of the node'
            return response
        return serve

    def _on_recalibrate(self) -> str:
        self._recalibrate()
        self._accepted_before = self._accepted()
        return 'estimates forgotten, starting again from the calibration'

    def _on_save(self) -> str:
        path = Path(self._node.node_params.calibration_output).expanduser().absolute()
        calibration = self._estimated()
        save_calibration(path, calibration)
        measured = calibration.deformation
        if measured is None:
            return f'written to {path}'
        # The counters start from zero when the node is activated anew.
        count = self._accepted()
        pairs = count - self._accepted_before if count >= self._accepted_before else count
        return (f'written to {path}: {pairs} pairs of images agree, expected error '
                f'{measured.residual_px:.1f} px, confidence {measured.confidence:.2f}; '
                f'{rig_view(measured)}')

    def _accepted(self) -> int:
        return self._node.counters.snapshot().get('registration.accepted', 0)
