# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A node that pairs two cameras and hands the pairs to a thread that owns the device.

One thread runs the ROS executor, which decodes and pairs; one owns the device and works. Between
them is a mailbox of depth 1: the newest pair wins, so latency stays bounded when the device is
slow.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any, Protocol, TypeVar

from ivif_ros.errors import ParameterError
from ivif_ros.nodes.base import BaseNode
from ivif_ros.nodes.findings import memory_finding, sync_finding
from ivif_ros.nodes.inputs import CameraInput
from ivif_ros.nodes.monitor import RateMonitor
from ivif_ros.nodes.pairing import Pairing
from ivif_ros.nodes.publishers import Publishers
from ivif_ros.nodes.worker import Worker
from ivif_ros.parameters import Parameters, SyncParameters
from ivif_ros.ros.diagnostics import Diagnostics, Finding, Level
from ivif_ros.ros.message_filters_matcher import MessageFiltersMatcher
from ivif_ros.sync import PairMatcher, Synchroniser
from ivif_ros.types import Frame, FramePair, Sensor

CALL_TIMEOUT_S = 10.0
"""Seconds that a service or a change of parameters waits for the pair in work."""

Value = TypeVar('Value')


class Engine(Protocol):
    """What works on the pairs; one thread owns it while the node is active."""

    @property
    def device(self) -> str:
        """Name of the device."""

    def set_parameters(self, params: Parameters) -> None:
        """Take new values, all or none of them."""

    def close(self) -> None:
        """Free the memory of the device."""


class StreamNode(BaseNode):
    """Two camera topics in, one pair after the other to `work`.

    A subclass implements `load`, `open_outputs` and `work`; `engine` is what `load` made.

    Attributes:
        thermal_base: relative name of the thermal image topic.
        engine: what works on the pairs, None while nothing is loaded.
        outlets: publishers of the node.
        inputs: the cameras while the node is active.
    """

    thermal_base = 'thermal/image_raw'

    def __init__(self, name: str, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__(name, **options)
        self.outlets = Publishers(self)
        self.inputs: dict[Sensor, CameraInput] = {}
        self.engine: Engine | None = None
        self._device = ''
        self._worker: Worker[FramePair] | None = None
        self._pairing: Pairing | None = None
        self._pairs = RateMonitor()

    @property
    def thermal_transport(self) -> str:
        """How the thermal image comes: `raw` or `compressed`."""
        return self.node_params.thermal_transport

    def sync_params(self, params: Parameters) -> SyncParameters:
        """How this node pairs its two inputs."""
        return params.sync

    def load(self, params: Parameters) -> Engine:
        """Load and warm up what works on the pairs."""
        raise NotImplementedError

    def unload(self) -> None:
        """Free what `load` made, as far as it came."""
        if self.engine is not None:
            engine, self.engine = self.engine, None
            engine.close()

    def open_outputs(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Open publishers and services and add tasks to the diagnostics."""
        raise NotImplementedError

    def work(self, pair: FramePair) -> None:
        """Handle one pair in the thread that owns the engine."""
        raise NotImplementedError

    def setup(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Load the engine and open the outputs."""
        diagnostics.add('sync', lambda: sync_finding(
            self._pairs, self.counters.snapshot(),
            None if self._pairing is None else self._pairing.matcher))
        sensors: tuple[Sensor, ...] = ('rgb', 'thermal')
        for sensor in sensors:
            diagnostics.add(f'{sensor} input', partial(self._input_finding, sensor))
        self.open_outputs(params, diagnostics)
        diagnostics.add('device memory', lambda: memory_finding(self._device))
        self._load(params)

    def start(self) -> None:
        """Start the worker, then listen."""
        params = self.params
        if self.engine is None:
            self._load(params)
        policy = PairMatcher if params.sync.policy == 'native' else MessageFiltersMatcher
        sync = self.sync_params(params)
        matcher = Synchroniser(sync, self.counters, policy(sync, self.counters))
        self._worker = Worker('pipeline', self.work, lambda error: self.report('pair', error))
        self._pairing = Pairing(self, matcher, self._post)
        self._listen('rgb', 'rgb/image_raw', self.node_params.rgb_transport)
        self._listen('thermal', self.thermal_base, self.thermal_transport)

    def stop(self) -> None:
        """Listen no more, end the worker and free the device."""
        for camera in self.inputs.values():
            camera.close()
        self.inputs.clear()
        if self._pairing is not None:
            self._pairing.close()
            self._pairing = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self.unload()

    def teardown(self) -> None:
        """Free the device and close the outputs."""
        self.unload()
        self.outlets.close()

    def change_parameters(self, old: Parameters, new: Parameters) -> None:
        """Hand new values to the engine and to the pairing."""
        engine = self.engine
        if engine is not None:
            self.in_worker(lambda: engine.set_parameters(new))
        if self._pairing is not None and new.sync != old.sync:
            self._pairing.set_parameters(self.sync_params(new))

    def in_worker(self, function: Callable[[], Value]) -> Value:
        """Run a function in the thread that owns the engine and return its value.

        Raises:
            ParameterError: the thread is busy for too long; anything that the function raises.
        """
        if self._worker is None:
            return function()
        call = self._worker.call(function)
        try:
            return call.result(CALL_TIMEOUT_S)
        except FutureTimeoutError as error:
            call.cancel()
            raise ParameterError(
                f'the node was busy for {CALL_TIMEOUT_S:g} s, try again') from error

    def _listen(self, sensor: Sensor, base: str, transport: str) -> None:
        pairing = self._pairing
        assert pairing is not None

        def deliver(frame: Frame) -> None:
            pairing.add(sensor, frame)
        self.inputs[sensor] = CameraInput(self, sensor, base, transport, deliver)

    def _post(self, pair: FramePair) -> None:
        self._pairs.tick()
        if self._worker is not None and self._worker.put(pair):
            self.counters.add('pair.replaced')

    def _load(self, params: Parameters) -> None:
        self.engine = self.load(params)
        self._device = self.engine.device

    def _input_finding(self, sensor: Sensor) -> Finding:
        if sensor not in self.inputs:
            return Finding(Level.OK, 'inactive')
        return self.inputs[sensor].finding()
