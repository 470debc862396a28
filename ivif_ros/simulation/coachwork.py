# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Flat sides of vehicles, painted for both cameras: lacquer, glass, lamps, wheels, warm parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng, fractal
from ivif_ros.simulation.radiance import encode
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array

_PX = 72
PAINTS = (
    (0.50, 0.51, 0.52),
    (0.035, 0.033, 0.032),
    (0.64, 0.66, 0.68),
    (0.13, 0.13, 0.135),
    (0.28, 0.12, 0.055),
    (0.30, 0.30, 0.31),
    (0.06, 0.05, 0.32),
    (0.62, 0.64, 0.66),
    (0.04, 0.036, 0.034),
    (0.20, 0.24, 0.26),
    (0.40, 0.41, 0.42),
)
"""BGR reflectance of paints, as common as on the road: mostly white, grey and black."""


@dataclass(frozen=True)
class Body:
    """Shape of a vehicle; all lengths in metres, z from the rear bumper to the front.

    Attributes:
        length, width: outer size.
        belt: height of the lower edge of the windows.
        roof: height of the roof.
        rear_top: z of the roof's rear edge; the rear window leans from z = 0.04 to here.
        screen_base, screen_top: z of lower and upper edge of the windscreen.
        bonnet: height of the front edge of the bonnet.
        tumble: how much narrower the roof is on each side.
        windows: side windows from z to z as share of the length; none for a box body.
    """

    length: float
    width: float
    belt: float
    roof: float
    rear_top: float
    screen_base: float
    screen_top: float
    bonnet: float
    tumble: float
    windows: tuple[float, float]


BODIES = (
    Body(4.1, 1.74, 0.95, 1.48, 0.42, 3.15, 2.35, 0.72, 0.17, (0.12, 0.70)),
    Body(4.5, 1.80, 0.94, 1.44, 0.95, 3.35, 2.50, 0.70, 0.20, (0.24, 0.68)),
    Body(4.6, 1.86, 1.08, 1.70, 0.28, 3.50, 2.85, 0.90, 0.14, (0.07, 0.72)),
    Body(4.4, 1.70, 1.10, 1.92, 0.10, 3.95, 3.40, 0.95, 0.09, (0.05, 0.84)),
    Body(6.2, 2.05, 1.20, 2.75, 0.00, 5.75, 5.40, 1.05, 0.02, (0.78, 0.91)),
)
"""Hatchback, saloon, off-roader, small van and box lorry."""


class Sheet:
    """A flat side while it is painted; pixel rows run down, origin at the top left."""

    def __init__(
        self,
        rng: Rng,
        width: float,
        height: float,
        paint: Array,
        heat: float,
        darker_below: float = 0.45,
    ) -> None:
        """Paint lacquer: sky reflected in the upper part, road in the lower part."""
        self.shape = (max(4, int(height * _PX)), max(4, int(width * _PX)))
        down = np.linspace(0, 1, self.shape[0], dtype=np.float32)[:, None]
        gloss = 1.15 - darker_below * down + 0.22 * np.exp(-(((down - 0.18) / 0.10) ** 2))
        dirt = fractal(rng, self.shape, 24, 4, 0.7)
        self.reflect = (
            paint * (gloss * (1 + 0.03 * dirt))[..., None] + 0.035 * (1 - down)[..., None]
        ).astype(np.float32)
        self.heat = (heat + 0.5 * (0.5 - down) * -1.0 + 0.25 * dirt).astype(np.float32)
        self.alpha = np.ones(self.shape, np.float32)

    def rect(
        self, x: float, y: float, width: float, height: float, colour: object, heat: float | None
    ) -> tuple[slice, slice]:
        """Fill a rectangle in metres; None leaves the temperature."""
        part = (
            slice(max(0, int(y * _PX)), max(0, int((y + height) * _PX))),
            slice(max(0, int(x * _PX)), max(0, int((x + width) * _PX))),
        )
        self.reflect[part] = np.asarray(colour, np.float32)
        if heat is not None:
            self.heat[part] = heat
        return part

    def glass(self, mask: Array, heat: float) -> None:
        """Dark glass that mirrors the sky in its upper part."""
        rows = np.flatnonzero(mask.any(1))
        if not len(rows):
            return
        down = np.clip((np.arange(self.shape[0]) - rows[0]) / max(np.ptp(rows), 1), 0, 1)[:, None]
        tone = (0.03 + 0.11 * (1 - down) ** 1.5).astype(np.float32)
        inside = mask > 0
        self.reflect[inside] = (
            tone[..., None]
            * np.array([1.1, 1.0, 0.95], np.float32)
            * np.ones((*self.shape, 1), np.float32)
        )[inside]
        self.heat[inside] = np.broadcast_to(heat - 1.5 * (1 - down), self.shape)[inside]

    def texture(self) -> Texture:
        """Encode with alpha."""
        visible = np.dstack(
            [encode(np.maximum(self.reflect, 0.008)), np.rint(self.alpha * 255).astype(np.uint8)]
        )
        return Texture(visible, np.dstack([self.heat, self.alpha]))


def _under(sheet: Sheet, light: Light, running: bool, height: float) -> None:
    """Cut the body off above the road and hang two tyres and a dark underside below it."""
    width = sheet.shape[1] / _PX
    sill = height - 0.24
    rows = slice(int(sill * _PX), sheet.shape[0])
    sheet.alpha[rows] = 0
    sheet.reflect[rows] = 0.012
    sheet.heat[rows] = light.ground_c + (4.0 if running else -0.5)
    # The underside fades into the shadow on the road.
    fade = np.clip(1.6 - np.arange(rows.stop - rows.start) / (0.10 * _PX), 0, 1)
    inner = slice(int(0.06 * _PX), int((width - 0.06) * _PX))
    sheet.alpha[rows, inner] = fade[:, None]
    for x in (0.05, width - 0.25):
        sheet.alpha[
            sheet.rect(
                x,
                sill - 0.01,
                0.20,
                0.25,
                (0.03, 0.03, 0.03),
                light.ground_c + (11.0 if running else 0.5),
            )
        ] = 1
    # Round the lower corners of the bumper.
    radius = int(0.07 * _PX)
    yy, xx = np.mgrid[:radius, :radius]
    gone = np.hypot(yy, radius - 1 - xx) > radius
    corner = slice(rows.start - radius, rows.start)
    sheet.alpha[corner, :radius][gone] = 0
    sheet.alpha[corner, -radius:][gone[:, ::-1]] = 0


def rear(rng: Rng, light: Light, body: Body, paint: Array, base: float, running: bool) -> Texture:
    """Boot lid, lamps, number plate, bumper, exhaust, tyres."""
    width, height = body.width, body.belt
    sheet = Sheet(rng, width, height, paint, base)
    sheet.rect(0.12, 0.08, width - 0.24, 0.02, paint * 0.35, None)
    tall = 0.2 if body.roof < 1.6 else 0.34
    for x in (0.02, width - 0.30):
        sheet.rect(x, 0.14, 0.28, tall, (0.03, 0.03, 0.36), base + (2.0 if running else 0.0))
        sheet.rect(x + 0.04, 0.14 + tall * 0.62, 0.2, 0.05, (0.3, 0.32, 0.4), None)
    sheet.rect(width / 2 - 0.26, height * 0.5, 0.52, 0.12, (0.62, 0.66, 0.66), base + 0.6)
    glyphs = rng.random((1, 9)) < 0.7
    for index in np.flatnonzero(glyphs[0]):
        sheet.rect(width / 2 - 0.2 + 0.045 * index, height * 0.5 + 0.03, 0.028, 0.06, 0.05, None)
    sheet.rect(0, height - 0.47, width, 0.02, paint * 0.4, None)
    sheet.rect(0.05, height - 0.30, width - 0.1, 0.06, (0.03, 0.03, 0.03), None)
    sheet.heat[int((height - 0.45) * _PX) :] += 1.2 if running else 0.0
    _under(sheet, light, running, height)
    if running:
        sheet.rect(width * 0.2, height - 0.27, 0.09, 0.07, (0.06, 0.06, 0.06), light.air_c + 45)
        glow = sheet.heat[int((height - 0.24) * _PX) :]
        glow += 5.0 * np.exp(-(((np.arange(glow.shape[1]) / _PX - width * 0.25) / 0.3) ** 2))
    return sheet.texture()


def front(rng: Rng, light: Light, body: Body, paint: Array, base: float, running: bool) -> Texture:
    """Grille, lamps, plate, bumper: the radiator is the warmest part of a running car."""
    width, height = body.width, body.bonnet
    sheet = Sheet(rng, width, height, paint, base + (3.0 if running else 0.0))
    for x in (0.04, width - 0.40):
        sheet.rect(x, 0.08, 0.36, 0.15, (0.42, 0.42, 0.42), base + (7.0 if running else 0.0))
        sheet.rect(x + 0.1, 0.1, 0.14, 0.11, (0.62, 0.62, 0.62), None)
    hot = base + (14.0 if running else -0.3)
    grille = sheet.rect(0.5, 0.1, width - 1.0, 0.13, (0.025, 0.025, 0.025), hot)
    sheet.reflect[grille][::4] = 0.12
    lower = sheet.rect(0.32, height - 0.42, width - 0.64, 0.13, (0.02, 0.02, 0.02), hot - 2)
    sheet.heat[lower] += 1.5 * fractal(rng, sheet.heat[lower].shape, 12, 2)
    sheet.rect(width / 2 - 0.26, height - 0.36, 0.52, 0.11, (0.62, 0.66, 0.66), base + 2)
    sheet.rect(0, height - 0.47, width, 0.015, paint * 0.45, None)
    _under(sheet, light, running, height)
    return sheet.texture()


def screen(rng: Rng, body: Body, paint: Array, heat: float, glazed: bool) -> Texture:
    """Windscreen or rear window in its frame; a box body has none."""
    lean = 0.5 if body.roof < 1.6 else 0.2
    sheet = Sheet(
        rng, body.width, float(np.hypot(body.roof - body.belt, lean)), paint, heat + 1.5, 0.2
    )
    if glazed:
        rows, columns = sheet.shape
        inset = body.tumble / body.width
        corners = np.array([[inset + 0.05, 0.14], [0.95 - inset, 0.14], [0.955, 0.9], [0.045, 0.9]])
        mask = np.zeros(sheet.shape, np.uint8)
        cv2.fillConvexPoly(mask, np.rint(corners * (columns, rows)).astype(np.int32), 255)
        sheet.glass(mask, heat)
    else:
        columns = sheet.shape[1]
        sheet.reflect[:, columns // 2 - 1 : columns // 2 + 1] *= 0.5
    return sheet.texture()


def _wheel(sheet: Sheet, light: Light, x: float, running: bool) -> None:
    """Wheel arch, tyre, rim; brakes and tyres are warm after driving."""
    height = sheet.shape[0] / _PX
    centre, radius = (int(x * _PX), int((height - 0.32) * _PX)), int(0.32 * _PX)
    disc = np.zeros(sheet.shape, np.uint8)
    cv2.circle(disc, (centre[0], centre[1]), int(0.38 * _PX), 255, -1)
    disc[int((height - 0.2) * _PX) :] = 0
    arch = disc > 0
    sheet.reflect[arch] = 0.012
    sheet.heat[arch] += 1.5 if running else -0.5
    yy, xx = np.mgrid[: sheet.shape[0], : sheet.shape[1]]
    distance = np.hypot(xx - centre[0], yy - centre[1]) / radius
    tyre, rim, hub = distance <= 1.0, distance <= 0.66, distance <= 0.22
    spokes = rim & (np.cos(5 * np.arctan2(yy - centre[1], xx - centre[0])) > -0.3)
    sheet.reflect[tyre] = 0.03
    sheet.reflect[rim] = 0.06
    sheet.reflect[spokes] = 0.3
    warm = 9.0 if running else 0.5
    sheet.heat[tyre] = light.ground_c + warm
    sheet.heat[rim] = light.ground_c + warm * 0.8
    sheet.heat[hub] = light.ground_c + warm * 1.6
    sheet.alpha[tyre] = 1.0


def flank(rng: Rng, light: Light, body: Body, paint: Array, base: float, running: bool) -> Texture:
    """Doors, sill, wheels; columns run from the rear to the front."""
    length, height = body.length, body.belt
    sheet = Sheet(rng, length, height, paint, base, 0.6)
    rows, columns = sheet.shape
    z = np.arange(columns, dtype=np.float32) / _PX
    if running:
        sheet.heat += 3.5 * np.clip((z - length * 0.72) / (length * 0.25), 0, 1)
    for line in (0.30, 0.52, 0.74):
        sheet.rect(length * line, 0.02, 0.015, height - 0.3, paint * 0.35, None)
    sheet.rect(length * 0.34, 0.14, 0.16, 0.03, paint * 0.6, None)
    sheet.rect(length * 0.55, 0.14, 0.16, 0.03, paint * 0.6, None)
    sheet.rect(0, height * 0.42, length, 0.012, paint * 1.3, None)
    sill = height - 0.22
    sheet.alpha[int(sill * _PX) :] = 0
    # The bonnet falls towards the front.
    over = np.clip((z - body.screen_base) / (length - body.screen_base), 0, 1) ** 1.3
    edge = over * (body.belt - body.bonnet) * _PX
    sheet.alpha[np.arange(rows)[:, None] < edge[None, :]] = 0
    for x in (length * 0.19, length * 0.80):
        _wheel(sheet, light, x, running)
    shadow = np.s_[
        int(sill * _PX) : int((height - 0.1) * _PX), int(0.25 * _PX) : int((length - 0.25) * _PX)
    ]
    hollow = sheet.alpha[shadow] == 0
    sheet.reflect[shadow][hollow] = 0.01
    sheet.heat[shadow][hollow] = light.ground_c + (2.5 if running else -0.5)
    sheet.alpha[shadow] = np.maximum(sheet.alpha[shadow], 0.85)
    return sheet.texture()


def side_windows(rng: Rng, body: Body, paint: Array, base: float) -> Texture:
    """Roof pillar, side windows and the posts between them."""
    slant = float(np.hypot(body.roof - body.belt, body.tumble))
    sheet = Sheet(rng, body.length, slant, paint, base, 0.15)
    rows, columns = sheet.shape
    start, end = body.windows
    upper_start = max(start, body.rear_top / body.length + 0.03)
    upper_end = min(end, body.screen_top / body.length - 0.02)
    corners = np.array([[upper_start, 0.16], [upper_end, 0.16], [end, 0.94], [start, 0.94]])
    mask = np.zeros(sheet.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.rint(corners * (columns, rows)).astype(np.int32), 255)
    for post in (start + (end - start) * 0.36, start + (end - start) * 0.70):
        mask[:, int(post * columns) - 3 : int(post * columns) + 3] = 0
    sheet.glass(mask, base - 0.5)
    return sheet.texture()
