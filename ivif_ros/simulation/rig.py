# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulated rig: frames of both cameras with honest stamps, and the truth at any time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from ivif_ros.frame_source import RGB_FRAME_ID, THERMAL_FRAME_ID
from ivif_ros.simulation import truth
from ivif_ros.simulation.camera import Lens, Pose, camera_model, rotation
from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.noise import generator
from ivif_ros.simulation.scene import Scene
from ivif_ros.simulation.sensors import ColourSensor, ThermalSensor
from ivif_ros.simulation.truth import TrueBoxes
from ivif_ros.simulation.views import ColourView, ThermalView
from ivif_ros.types import Array, Frame, Sensor

START_STAMP_NS = 1_700_000_000_000_000_000


class SimulatedRig:
    """Two cameras on a rig that drives down a street.

    Times t are seconds of true time since the start. The RGB clock is true apart from jitter, the
    thermal clock is `thermal_lag_s` ahead.

    Attributes:
        config: settings.
        scene: the world.
        rgb_camera: intrinsics of the raw colour image.
        thermal_camera: intrinsics of the raw thermal image.
        thermal_from_rgb: (4, 4) float64, X_thermal = T @ X_rgb in optical frames, metres.
    """

    def __init__(self, config: RigConfig | None = None) -> None:
        """Build cameras and world; takes one or two seconds.

        Args:
            config: settings, the defaults when left out.
        """
        self.config = config = config or RigConfig()
        self.scene = Scene(config)
        self.rgb_camera = camera_model(config.rgb_size, config.rgb_fov_deg, config.rgb_distortion)
        self.thermal_camera = camera_model(
            config.thermal_size, config.thermal_fov_deg, config.thermal_distortion
        )
        turn = rotation(config.thermal_rotation_deg)
        self.thermal_from_rgb = np.eye(4)
        self.thermal_from_rgb[:3, :3] = turn
        self.thermal_from_rgb[:3, 3] = -turn @ (config.baseline_m, 0.0, 0.0)
        self.thermal_from_rgb.setflags(write=False)
        self._rgb_lens, self._thermal_lens = Lens(self.rgb_camera), Lens(self.thermal_camera)
        light = self.scene.light
        self._rgb_view = ColourView(config, light, self._rgb_lens)
        self._thermal_view = ThermalView(light, self._thermal_lens)
        self._rgb_sensor = ColourSensor(config, light)
        self._thermal_sensor = ThermalSensor(config)

    # Pictures

    def render_rgb(self, t: float) -> Array:
        """Colour image exposed at time t.

        Args:
            t: seconds.

        Returns:
            (H, W, 3) uint8 BGR.
        """
        instant = self.scene.at(t)
        canvas = self._rgb_view.draw(instant, instant.pose)
        return self._rgb_sensor.expose(self._rgb_lens.bend(canvas), t)

    def render_thermal(self, t: float) -> Array:
        """Thermal image exposed at time t, as if the shutter were open.

        Args:
            t: seconds.

        Returns:
            (H, W) uint16 counts of 14 bits; degrees Celsius are
            `counts * celsius_per_count + celsius_offset`.
        """
        instant = self.scene.at(t)
        canvas = self._thermal_view.draw(instant, self._thermal_pose(instant.pose))
        return self._thermal_sensor.expose(self._thermal_lens.bend(canvas), t)

    def _thermal_pose(self, rgb_pose: Pose) -> Pose:
        return rgb_pose.moved(self.thermal_from_rgb)

    # Truth

    def true_map(self, t: float, occlusion: bool = True) -> Array:
        """Thermal pixel of each RGB pixel, both cameras exposed at time t.

        Args:
            t: seconds.
            occlusion: leave out (NaN) what the thermal camera cannot see behind something nearer.

        Returns:
            (H, W, 2) float32 raw thermal x, y; NaN outside the thermal image.
        """
        instant = self.scene.at(t)
        thermal_depth = None
        if occlusion:
            pose = self._thermal_pose(instant.pose)
            layers = truth.visible_layers(instant, self._thermal_lens, pose)
            thermal_depth = truth.depth_map(layers, self._thermal_lens, pose)
        return truth.correspondence(
            self.true_depth(t),
            self._rgb_lens,
            self._thermal_lens,
            self.thermal_from_rgb,
            thermal_depth,
        )

    def true_depth(self, t: float) -> Array:
        """Depth of each raw RGB pixel along the optical axis at time t.

        Returns:
            (H, W) float64 metres; the sky is 2 km away.
        """
        instant = self.scene.at(t)
        layers = truth.visible_layers(instant, self._rgb_lens, instant.pose)
        return truth.depth_map(layers, self._rgb_lens, instant.pose)

    def true_boxes(self, t: float) -> TrueBoxes:
        """People, bicycles and vehicles in the raw RGB image at time t."""
        instant = self.scene.at(t)
        layers = truth.visible_layers(instant, self._rgb_lens, instant.pose)
        return truth.boxes(instant, layers, self._rgb_lens)

    def true_classes(self, t: float) -> Array:
        """Class of what each raw RGB pixel shows at time t, for segmentation.

        Returns:
            (H, W) int64, class id as in `true_boxes`, -1 for the background.
        """
        instant = self.scene.at(t)
        layers = truth.visible_layers(instant, self._rgb_lens, instant.pose)
        return truth.class_map(instant, layers)

    # Time

    def shutter_closed(self, t: float) -> bool:
        """Whether the thermal camera repeats its last image at time t (flat-field correction)."""
        every, length = self.config.freeze_every_s, self.config.freeze_length_s
        if not every:
            return False
        # One event per period, somewhere in its second half.
        index = int(t // every)
        luck = float(generator(self.config.seed, 51, index).random())
        begin = (index + 0.5 + 0.45 * luck * (1 - length / every)) * every
        return begin <= t < begin + length

    def capture_time_s(
        self, sensor: Sensor, stamp_ns: int, start_stamp_ns: int = START_STAMP_NS
    ) -> float:
        """True time of exposure of the frame that carries a stamp, free of offset and jitter.

        Args:
            sensor: which camera.
            stamp_ns: stamp of one of its frames.
            start_stamp_ns: as given to `frames`.

        Returns:
            Seconds.
        """
        rate, phase, offset, _ = self._timing(sensor)
        index = round(((stamp_ns - start_stamp_ns) / 1e9 - offset - phase) * rate)
        return index / rate + phase

    def _timing(self, sensor: Sensor) -> tuple[float, float, float, float]:
        """Rate in Hz, phase, clock offset and transport delay in seconds."""
        config = self.config
        if sensor == 'rgb':
            return config.rgb_hz, 0.0, 0.0, config.rgb_delay_s
        return (
            config.thermal_hz,
            config.thermal_phase_s,
            config.thermal_lag_s,
            config.thermal_delay_s,
        )

    def _schedule(
        self, sensor: Sensor, duration_s: float, start_ns: int
    ) -> Iterator[tuple[int, Sensor, float, int]]:
        """Received time, sensor, capture time and stamp of the frames of one camera."""
        rate, phase, offset, delay = self._timing(sensor)
        index, received = 0, start_ns
        while (capture := index / rate + phase) < duration_s:
            rng = generator(self.config.seed, 52 if sensor == 'rgb' else 53, index)
            jitter, late = rng.standard_normal(2)
            limit = min(2.5 * self.config.jitter_s, 0.45 / rate)
            noise = min(max(jitter * self.config.jitter_s, -limit), limit)
            stamp = start_ns + round((capture + offset + noise) * 1e9)
            arrival = start_ns + round((capture + delay * (1 + 0.1 * abs(late))) * 1e9)
            received = max(received + 1, arrival)
            yield received, sensor, capture, stamp
            index += 1

    def frames(
        self, duration_s: float, start_stamp_ns: int = START_STAMP_NS
    ) -> Iterator[tuple[Sensor, Frame]]:
        """Frames of both cameras in the order in which they arrive.

        Painting the people takes about a second before the first frame.

        Args:
            duration_s: how long the cameras run, `inf` for ever.
            start_stamp_ns: stamp of time 0.

        Yields:
            Sensor and frame; each frame owns its image, except that frames during a shutter event
            share the one before it.
        """
        if self.config.traffic:
            self.scene.assets.paint_people()
        last: Array | None = None
        streams = (
            self._schedule('rgb', duration_s, start_stamp_ns),
            self._schedule('thermal', duration_s, start_stamp_ns),
        )
        for received, sensor, capture, stamp in heapq.merge(*streams):
            if sensor == 'rgb':
                yield (
                    sensor,
                    Frame(stamp, RGB_FRAME_ID, self.render_rgb(capture), self.rgb_camera, received),
                )
                continue
            if last is None or not self.shutter_closed(capture):
                last = self.render_thermal(capture)
            yield sensor, Frame(stamp, THERMAL_FRAME_ID, last, self.thermal_camera, received)
