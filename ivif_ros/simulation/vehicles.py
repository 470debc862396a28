# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Cars, vans and lorries: a few textured quads each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivif_ros.simulation.coachwork import Body, Sheet, flank, front, rear, screen, side_windows
from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array


@dataclass(frozen=True, eq=False)
class Panel:
    """One flat side of a vehicle in its own frame: x right, y down from the ground, z to the front.

    Attributes:
        texture: picture, lit by the drawing code.
        origin, right, down: edges in metres as in Surface.
        polygon: part that exists, or None.
    """

    texture: Texture
    origin: Array
    right: Array
    down: Array
    polygon: Array | None


@dataclass(frozen=True, eq=False)
class Vehicle:
    """Panels of a vehicle and where its lamps are.

    Attributes:
        body: shape.
        panels: all sides; back faces are culled when drawn.
        edges: (3, n, 3) origin, right and down of each panel.
        normals: (n, 3), pointing inwards.
        tail_lamps, head_lamps: centres in the vehicle's frame.
    """

    body: Body
    panels: tuple[Panel, ...]
    edges: Array
    normals: Array
    tail_lamps: Array
    head_lamps: Array


def make_vehicle(rng: Rng, light: Light, body: Body, paint: Array, running: bool) -> Vehicle:
    """Invent a vehicle.

    Args:
        rng: random numbers.
        light: time of day.
        body: shape.
        paint: (3,) BGR reflectance.
        running: engine, exhaust and tyres are warm.
    """
    if body.length > 6:
        paint = np.array((0.55, 0.57, 0.58), np.float32)
    # Lacquer mirrors some of the cold sky; sun and engine warm it.
    celsius = light.air_c + (1.2 if running else 0.4 * light.sun_k) - 1.6 + rng.normal(0, 0.5)
    panels = (
        *_ends(rng, light, body, paint, celsius, running),
        *_top(rng, body, paint, celsius, 5.0 if running else 0.0),
        *_sides(rng, light, body, paint, celsius, running),
    )
    edges = np.array([[p.origin, p.right, p.down] for p in panels], np.float64).transpose(1, 0, 2)
    low, spread = body.belt * 0.72, body.width / 2 - 0.2
    ahead = body.length + 0.02
    return Vehicle(
        body,
        panels,
        edges,
        np.cross(edges[1], edges[2]),
        np.array([[-spread, -low, -0.02], [spread, -low, -0.02]]),
        np.array([[-spread, -body.bonnet * 0.8, ahead], [spread, -body.bonnet * 0.8, ahead]]),
    )


def _panel(
    texture: Texture,
    origin: tuple[float, float, float],
    right: tuple[float, float, float],
    down: tuple[float, float, float],
    polygon: Array | None = None,
) -> Panel:
    return Panel(texture, np.array(origin), np.array(right), np.array(down), polygon)


def _ends(
    rng: Rng, light: Light, body: Body, paint: Array, celsius: float, running: bool
) -> list[Panel]:
    """Lower rear and lower front."""
    half, width, belt, bonnet = body.width / 2, body.width, body.belt, body.bonnet
    return [
        _panel(
            rear(rng, light, body, paint, celsius, running),
            (-half, -belt, 0.0),
            (width, 0, 0),
            (0, belt, 0),
        ),
        _panel(
            front(rng, light, body, paint, celsius, running),
            (half, -bonnet, body.length),
            (-width, 0, 0),
            (0, bonnet, 0),
        ),
    ]


def _top(rng: Rng, body: Body, paint: Array, celsius: float, engine_k: float) -> list[Panel]:
    """Rear window, windscreen, bonnet and roof."""
    half, width, belt, roof = body.width / 2, body.width, body.belt, body.roof
    inset = body.tumble / width
    trapeze = np.array([[inset, 0], [1 - inset, 0], [1, 1], [0, 1]])
    strip = np.array([[inset, 0], [1 - inset, 0], [1 - inset, 1], [inset, 1]])
    bonnet_m = body.length - body.screen_base
    roof_m = body.screen_top - body.rear_top
    bonnet = Sheet(rng, width, bonnet_m, paint * 1.25, celsius + engine_k, 0.1)
    top = Sheet(rng, width, roof_m, paint * 1.3, celsius - 4.0, 0.1)
    return [
        _panel(
            screen(rng, body, paint, celsius - 1.5, body.windows[0] < 0.5),
            (-half, -roof, body.rear_top),
            (width, 0, 0),
            (0, roof - belt, 0.04 - body.rear_top),
            trapeze,
        ),
        _panel(
            screen(rng, body, paint, celsius - 1.0 + 0.4 * engine_k, True),
            (half, -roof, body.screen_top),
            (-width, 0, 0),
            (0, roof - belt, body.screen_base - body.screen_top),
            trapeze,
        ),
        _panel(
            bonnet.texture(),
            (half, -belt, body.screen_base),
            (-width, 0, 0),
            (0, belt - body.bonnet, bonnet_m),
        ),
        _panel(
            top.texture(), (-half, -roof, body.screen_top), (width, 0, 0), (0, 0, -roof_m), strip
        ),
    ]


def _sides(
    rng: Rng, light: Light, body: Body, paint: Array, celsius: float, running: bool
) -> list[Panel]:
    """Flanks and side windows; the left ones are mirrored."""
    half, length, belt, roof = body.width / 2, body.length, body.belt, body.roof
    lower = flank(rng, light, body, paint, celsius, running)
    upper = side_windows(rng, body, paint, celsius)
    outline = np.array([[body.rear_top, 0], [body.screen_top, 0], [body.screen_base, 1], [0.04, 1]])
    outline = outline / (length, 1)
    mirrored = outline * (-1, 1) + (1, 0)
    return [
        # Seen from the right the rear lies on the left.
        _panel(lower, (half, -belt, 0.0), (0, 0, length), (0, belt, 0)),
        _panel(
            upper,
            (half - body.tumble, -roof, 0.0),
            (0, 0, length),
            (body.tumble, roof - belt, 0),
            outline,
        ),
        _panel(_mirror(lower), (-half, -belt, length), (0, 0, -length), (0, belt, 0)),
        _panel(
            _mirror(upper),
            (body.tumble - half, -roof, length),
            (0, 0, -length),
            (-body.tumble, roof - belt, 0),
            mirrored,
        ),
    ]


def _mirror(texture: Texture) -> Texture:
    """The same picture seen from the other side."""
    return Texture(np.ascontiguousarray(texture.visible[:, ::-1]), texture.thermal[:, ::-1])
