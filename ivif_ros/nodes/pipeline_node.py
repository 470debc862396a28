# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes share that run the pipeline: its outputs and services, TF, and the status."""

from __future__ import annotations

import time
from typing import Any

from ivif_ros.errors import ParameterError
from ivif_ros.nodes.calibration_services import CalibrationServices
from ivif_ros.nodes.debug_output import RegistrationDebugOutput
from ivif_ros.nodes.findings import fusion_finding, registration_finding
from ivif_ros.nodes.monitor import RateMonitor
from ivif_ros.nodes.outputs import DeformationOutput, ImageOutput, StatusOutput
from ivif_ros.nodes.stream import StreamNode
from ivif_ros.nodes.tf_watch import TfWatch
from ivif_ros.parameters import Parameters
from ivif_ros.pipeline import Pipeline
from ivif_ros.ros.diagnostics import Diagnostics, Finding
from ivif_ros.ros.stamping import Origin, OriginTracker
from ivif_ros.types import Array, Deformation, FramePair, Outcome

WARM_UP_SIZE = 640, 480


class PipelineNode(StreamNode):
    """A stream node whose engine is the pipeline; records what became of each pair.

    Attributes:
        status_topic: relative name of the status topic.
        origins: stamps and frames of the outputs.
    """

    status_topic = 'status'

    def __init__(self, name: str, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__(name, **options)
        self.origins = OriginTracker()
        self._newest: Outcome | None = None
        self._results = RateMonitor()

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline; its thread alone may use it while the node is active.

        Raises:
            ParameterError: nothing is loaded.
        """
        if not isinstance(self.engine, Pipeline):
            raise ParameterError('the node is not active; activate it first')
        return self.engine

    @property
    def newest(self) -> Outcome | None:
        """What became of the newest pair."""
        return self._newest

    def load(self, params: Parameters) -> Pipeline:
        """Load the pipeline and run it once."""
        pipeline = Pipeline(params, live=True, counters=self.counters)
        pipeline.warm_up(WARM_UP_SIZE)
        return pipeline

    def open_outputs(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Open the status topic."""
        self._status = StatusOutput(self.outlets, self.status_topic)

    def start(self) -> None:
        """Count from zero, start the worker, then listen."""
        self.origins = OriginTracker()
        self._newest = None
        self._status.reset()
        super().start()

    def fusion_finding(self) -> Finding:
        """State of the fusion for the diagnostics."""
        return fusion_finding(
            self._newest, self._results, self._status.totals, self.counters.snapshot())

    def record(self, outcome: Outcome, origin: Origin, start_ns: int, done_ns: int) -> None:
        """Complete the latencies of a pair and publish its status.

        Args:
            outcome: what became of the pair.
            origin: stamp and frame of its outputs.
            start_ns: monotonic time when work on it began.
            done_ns: monotonic time when publishing began.
        """
        end_ns, received_ns = time.monotonic_ns(), outcome.pair.received_ns
        outcome.latency_ms.update(
            sync=(start_ns - received_ns) / 1e6, publish=(end_ns - done_ns) / 1e6,
            total=(end_ns - received_ns) / 1e6)
        self._status.publish(outcome, origin, self.counters.losses())
        if outcome.reason:
            name = outcome.mode.name.lower().replace('_', ' ')
            self.warnings.say(f'{name}: {outcome.reason}', f'{name}: {outcome.reason}')
        self._newest = outcome
        self._results.tick()


class RegisteringNode(PipelineNode):
    """A pipeline node that finds the deformation and publishes it."""

    def __init__(self, name: str, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__(name, **options)
        self._calibration_services: CalibrationServices | None = None
        self._tf: TfWatch | None = None
        self._debug: RegistrationDebugOutput | None = None

    def open_outputs(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Open the registered image, the deformation, the status and the services."""
        diagnostics.add('registration', self.registration_finding)
        super().open_outputs(params, diagnostics)
        self._registered = ImageOutput(self, self.outlets, 'thermal_registered/image', 'mono8')
        self._deformation = DeformationOutput(self.outlets)
        self._debug = RegistrationDebugOutput(self, self.outlets)
        self._calibration_services = CalibrationServices(
            self, lambda: self.in_worker(self.pipeline.recalibrate),
            lambda: self.in_worker(self.pipeline.estimated_calibration))

    def start(self) -> None:
        """Start the threads, then listen, to TF too where wanted."""
        if self._debug is not None:
            self._debug.start()
        super().start()
        if self.params.registration.use_tf:
            self._tf = TfWatch(self, self._frames, self._on_extrinsics)

    def stop(self) -> None:
        """Listen no more, end the worker and free the device."""
        if self._tf is not None:
            self._tf.close()
            self._tf = None
        super().stop()
        if self._debug is not None:
            self._debug.stop()

    def teardown(self) -> None:
        """Free the device, close services and publishers."""
        super().teardown()
        if self._calibration_services is not None:
            self._calibration_services.close()
            self._calibration_services = None

    def registration_finding(self) -> Finding:
        """State of the registration for the diagnostics."""
        engine = self.engine
        problem = engine.registration_problem if isinstance(engine, Pipeline) else ''
        return registration_finding(self.newest, self.params.registration, problem)

    def publish_registered(self, pair: FramePair, image: Array | None,
                           deformation: Deformation | None, origin: Origin) -> None:
        """Publish the thermal image on the RGB grid and the map that made it.

        Args:
            pair: the input.
            image: (H, W) uint8, or None without a thermal image.
            deformation: map that was used, or None without a thermal image.
            origin: stamp and frames.
        """
        if deformation is not None:
            self._deformation.publish(deformation, origin)
        if image is not None:
            self._registered.publish(image, origin, self.params.output.jpeg_quality)
            if self._debug is not None and pair.rgb is not None and deformation is not None:
                self._debug.offer(pair.rgb.image, image, deformation, origin,
                                  self.params.output.jpeg_quality)

    @property
    def registered_wanted(self) -> bool:
        """True where somebody listens to the registered image or to a picture of it."""
        return self._registered.wanted or (self._debug is not None and self._debug.wanted)

    def _frames(self) -> tuple[str, str]:
        return self.inputs['rgb'].frame_id, self.inputs['thermal'].frame_id

    def _on_extrinsics(self, thermal_from_rgb: Array) -> None:
        self.in_worker(lambda: self.pipeline.set_extrinsics(thermal_from_rgb))
        self.get_logger().info('extrinsics of the rig taken from TF')
