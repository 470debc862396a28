# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Walking people and bicycles as articulated silhouettes, one picture per phase of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng, bleed, fractal
from ivif_ros.simulation.radiance import encode
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array

PHASES = 16
"""Pictures per walking cycle (two steps)."""
PERSON_M = (1.24, 1.96)
"""Width and height of a person's billboard in metres; the feet stand at the bottom."""
STRIDE_M = 1.45
"""Way covered by one walking cycle in metres."""
_PX = 96

Point = tuple[float, float]


class Figure:
    """Body parts painted from back to front, each with colour, temperature and rounded shading."""

    def __init__(self, rng: Rng, size_m: tuple[float, float]) -> None:
        """Start empty; points are metres to the right of the middle and above the ground."""
        self.size = (int(size_m[0] * _PX), int(size_m[1] * _PX))
        shape = self.size[::-1]
        self.reflect = np.zeros((*shape, 3), np.float32)
        self.heat = np.zeros(shape, np.float32)
        self.alpha = np.zeros(shape, np.float32)
        self.folds = fractal(rng, shape, 22, 4, 0.75)

    def pixel(self, point: Point) -> tuple[int, int]:
        """Pixel of a point, in sixteenths."""
        return (round((point[0] * _PX + self.size[0] / 2) * 16),
                round((self.size[1] - 1 - point[1] * _PX) * 16))

    def limb(self, points: list[Point], widths: list[float], colour: Array, celsius: float) -> None:
        """A chain of tapered capsules through points, with a diameter in metres at each."""
        mask = np.zeros(self.size[::-1], np.uint8)
        for (a, b), (wide, narrow) in zip(zip(points, points[1:]), zip(widths, widths[1:])):
            direction = np.subtract(b, a)
            normal = np.array([-direction[1], direction[0]]) / max(np.hypot(*direction), 1e-6)
            corners = [a + normal * wide / 2, b + normal * narrow / 2,
                       b - normal * narrow / 2, a - normal * wide / 2]
            quad = np.array([self.pixel((float(c[0]), float(c[1]))) for c in corners], np.int32)
            cv2.fillConvexPoly(mask, quad, 255, cv2.LINE_AA, 4)
        for point, width in zip(points, widths):
            cv2.circle(mask, self.pixel(point), int(width / 2 * _PX * 16), 255, -1, cv2.LINE_AA, 4)
        self.part(mask, colour, celsius)

    def shape(self, points: list[Point], colour: Array, celsius: float) -> None:
        """A filled outline."""
        mask = np.zeros(self.size[::-1], np.uint8)
        outline = np.array([self.pixel(p) for p in points], np.int32)
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, 4)
        self.part(mask, colour, celsius)

    def part(self, mask: Array, colour: Array, celsius: float) -> None:
        """Paint a mask: round, folded, a little cooler where the surface turns away."""
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            return
        box = np.s_[y:y + h, x:x + w]
        cover = (mask[box] / np.float32(255))
        inside = cv2.distanceTransform((np.pad(mask[box], 1) > 127).astype(np.uint8), cv2.DIST_L2, 3)
        inside = inside[1:-1, 1:-1]
        round_ = np.sqrt(np.clip(inside / max(float(inside.max()), 1.0), 0, 1))
        folds = self.folds[box]
        shade = (0.55 + 0.5 * round_) * (1 + 0.16 * folds)
        weight = cover[..., None]
        self.reflect[box] += weight * (colour * shade[..., None] - self.reflect[box])
        heat = celsius - 1.6 * (1 - round_) + 0.7 * folds
        self.heat[box] += cover * (heat - self.heat[box])
        self.alpha[box] = np.maximum(self.alpha[box], cover)

    def texture(self) -> Texture:
        """Encode; the light on the figure is applied when it is drawn."""
        colour = encode(bleed(np.maximum(self.reflect, 0.012), self.alpha))
        visible = np.dstack([colour, np.rint(self.alpha * 255).astype(np.uint8)])
        thermal = np.dstack([bleed(self.heat, self.alpha), self.alpha])
        return Texture(visible, thermal)


@dataclass(frozen=True)
class Look:
    """Clothes and build of a person.

    Attributes:
        top, legs, skin, hair, shoes: BGR reflectance.
        girth: 0.85 slim to 1.2 stout.
        skirt_m: length below the hips of a coat or skirt; 0 for trousers only.
        bag: carries a backpack.
        hood: wears a cap or hood.
        warm_k: how warm the clothes let the body show through.
    """

    top: Array
    legs: Array
    skin: Array
    hair: Array
    shoes: Array
    girth: float
    skirt_m: float
    bag: bool
    hood: bool
    warm_k: float


def make_look(rng: Rng) -> Look:
    """Invent clothes: mostly dark or grey, now and then bright."""
    def cloth(low: float, high: float, colourful: float) -> Array:
        grey = rng.uniform(low, high)
        return np.clip(grey * (1 + colourful * rng.uniform(-1, 1, 3)), 0.02, 0.8).astype(np.float32)

    bright = rng.random() < 0.3
    tan = rng.uniform(0.3, 1.0)
    return Look(
        top=cloth(0.3, 0.6, 0.5) if bright else cloth(0.04, 0.22, 0.45), legs=cloth(0.03, 0.2, 0.3),
        skin=np.array((0.22, 0.30, 0.46), np.float32) * tan,
        hair=np.array((0.03, 0.04, 0.05), np.float32) * rng.uniform(0.8, 3),
        shoes=cloth(0.03, 0.4, 0.1), girth=float(rng.uniform(0.88, 1.15)),
        skirt_m=float(rng.choice([0.0, 0.0, 0.0, 0.25, 0.42])), bag=bool(rng.random() < 0.3),
        hood=bool(rng.random() < 0.25), warm_k=float(rng.normal(0, 1.2)))


def _leg(hip: Point, thigh_deg: float, knee_deg: float) -> list[Point]:
    """Hip, knee and ankle of a leg of 0.86 m; angles forward of straight down, knee bends back."""
    a, b = math.radians(thigh_deg), math.radians(thigh_deg - knee_deg)
    knee = (hip[0] + 0.43 * math.sin(a), hip[1] - 0.43 * math.cos(a))
    return [hip, knee, (knee[0] + 0.42 * math.sin(b), knee[1] - 0.42 * math.cos(b))]


def _arm(shoulder: Point, upper_deg: float, elbow_deg: float) -> list[Point]:
    """Shoulder, elbow and wrist; angles forward of straight down, the elbow bends forward."""
    a, b = math.radians(upper_deg), math.radians(upper_deg + elbow_deg)
    elbow = (shoulder[0] + 0.30 * math.sin(a), shoulder[1] - 0.30 * math.cos(a))
    return [shoulder, elbow, (elbow[0] + 0.27 * math.sin(b), elbow[1] - 0.27 * math.cos(b))]


def walker_texture(rng: Rng, light: Light, look: Look, phase: float, view: str) -> Texture:
    """Paint one phase of the walk.

    Args:
        rng: random numbers (the same for all phases of a person, so that folds stay).
        light: time of day, for the temperatures.
        look: clothes.
        phase: 0..1 through the cycle.
        view: `side` (walks to the right), `front` or `back`.
    """
    figure = Figure(rng, PERSON_M)
    turn = 2 * math.pi * phase
    cloth = light.cloth_c + look.warm_k
    trousers = cloth - 0.8
    bob = 0.018 * math.cos(2 * turn)
    hip_y = 0.93 + bob
    wide = look.girth
    leg_widths = [0.19 * wide, 0.135 * wide, 0.095]
    arm_widths = [0.125 * wide, 0.10 * wide, 0.075]
    if view == 'side':
        for sign in (1, -1):
            if sign == -1:
                _side_torso(figure, look, cloth, hip_y)
            swing = 26 * math.sin(turn) * sign
            bend = 8 + 42 * max(0.0, math.cos(turn) * sign) ** 1.5
            leg = _leg((0.0, hip_y), swing + (6 if bend > 20 else 0), bend)
            dim = 0.75 if sign == 1 else 1.0
            if sign == -1:
                pass
            figure.limb(leg, leg_widths, look.legs * dim, trousers)
            ankle = leg[2]
            figure.limb([(ankle[0] - 0.03, ankle[1] - 0.02), (ankle[0] + 0.15, ankle[1] - 0.045)],
                        [0.085, 0.06], look.shoes * dim, cloth - 4)
            arm = _arm((0.0, hip_y + 0.5), -24 * math.sin(turn) * sign, 22)
            if sign == -1:
                _skirt(figure, look, cloth, hip_y, 0.13 + 0.05 * abs(math.sin(turn)))
                figure.limb(arm, arm_widths, look.top, cloth + 0.6)
                figure.limb([arm[2], (arm[2][0] + 0.03, arm[2][1] - 0.06)], [0.075, 0.06], look.skin,
                            light.skin_c - 2)
    else:
        _front_view(figure, light, look, turn, hip_y, view, cloth, leg_widths, arm_widths)
    _head(figure, light, look, hip_y, view)
    return figure.texture()


def _side_torso(figure: Figure, look: Look, cloth: float, hip_y: float) -> None:
    """Torso seen from the side, and a backpack."""
    wide = look.girth
    if look.bag:
        figure.limb([(-0.17, hip_y + 0.45), (-0.19, hip_y + 0.18)], [0.17, 0.22], look.shoes * 0.8,
                    cloth - 4)
    figure.limb([(0.0, hip_y + 0.02), (0.0, hip_y + 0.28), (-0.01, hip_y + 0.5)],
                [0.22 * wide, 0.235 * wide, 0.17 * wide], look.top, cloth)


def _skirt(figure: Figure, look: Look, cloth: float, hip_y: float, flare: float) -> None:
    """Coat or skirt below the hips."""
    if look.skirt_m:
        low = hip_y - look.skirt_m
        figure.shape([(-0.12, hip_y + 0.1), (0.12, hip_y + 0.1), (0.05 + flare, low), (-0.05 - flare, low)],
                     look.top * 0.92, cloth - 0.5)


def _front_view(figure: Figure, light: Light, look: Look, turn: float, hip_y: float, view: str,
                cloth: float, leg_widths: list[float], arm_widths: list[float]) -> None:
    """Body seen from the front or the back: legs lift in turn, arms hang and swing in depth."""
    wide = look.girth
    for sign in (1, -1):
        lift = max(0.0, math.sin(turn) * sign)
        hip = (0.085 * sign, hip_y)
        knee = (0.09 * sign, hip_y - 0.43 + 0.05 * lift)
        ankle = (0.08 * sign, 0.075 + 0.13 * lift)
        figure.limb([hip, knee, ankle], leg_widths, look.legs * (1 - 0.2 * lift), cloth - 0.8)
        figure.limb([(ankle[0], ankle[1] - 0.02), (ankle[0] + 0.02 * sign, ankle[1] - 0.045)],
                    [0.095, 0.085], look.shoes, cloth - 4)
    shoulder = 0.19 * wide
    figure.limb([(0.0, hip_y), (0.0, hip_y + 0.1)], [0.33 * wide, 0.32 * wide], look.top, cloth)
    figure.shape([(-0.165 * wide, hip_y - 0.02), (0.165 * wide, hip_y - 0.02),
                  (0.16 * wide, hip_y + 0.25), (shoulder + 0.03, hip_y + 0.47),
                  (0.09, hip_y + 0.57), (-0.09, hip_y + 0.57), (-shoulder - 0.03, hip_y + 0.47),
                  (-0.16 * wide, hip_y + 0.25)], look.top, cloth)
    _skirt(figure, look, cloth, hip_y, 0.15)
    for sign in (1, -1):
        swing = math.sin(turn) * sign
        top = (sign * (shoulder + 0.015), hip_y + 0.47)
        elbow = (top[0] + sign * 0.045, top[1] - 0.29)
        wrist = (elbow[0] - sign * 0.01, elbow[1] - 0.22 + 0.05 * swing)
        figure.limb([top, elbow, wrist], arm_widths, look.top * (0.95 + 0.08 * swing), cloth + 0.4)
        figure.limb([wrist, (wrist[0], wrist[1] - 0.07)], [0.07, 0.065], look.skin, light.skin_c - 2)
    if look.bag and view == 'back':
        figure.limb([(0.0, hip_y + 0.42), (0.0, hip_y + 0.18)], [0.26, 0.3], look.shoes * 0.8, cloth - 4)


def _head(figure: Figure, light: Light, look: Look, hip_y: float, view: str) -> None:
    """Neck, face and hair."""
    neck, skull = hip_y + 0.55, hip_y + 0.72
    lean = 0.02 if view == 'side' else 0.0
    figure.limb([(0.0, neck - 0.02), (lean, neck + 0.08)], [0.12, 0.11], look.skin * 0.8, light.skin_c)
    figure.limb([(lean, skull - 0.05), (lean, skull + 0.03)], [0.15, 0.175],
                look.skin if view != 'back' else look.hair,
                light.skin_c if view != 'back' else light.skin_c - 3)
    cap = light.skin_c - (7 if look.hood else 3)
    if view == 'side':
        figure.limb([(lean - 0.045, skull - 0.01), (lean - 0.015, skull + 0.06)], [0.13, 0.14],
                    look.top if look.hood else look.hair, cap)
    else:
        figure.limb([(-0.02, skull + 0.07), (0.02, skull + 0.07)], [0.125, 0.125],
                    look.top if look.hood else look.hair, cap)


BICYCLE_M = (2.0, 1.96)
"""Width and height of the billboard of a bicycle, side view."""
BICYCLE_REAR_M = (0.8, 1.96)
"""Width and height of the billboard of a bicycle seen from behind or from the front."""


def bicycle_textures(rng: Rng, light: Light, look: Look, phase: float,
                     side: bool) -> tuple[Texture, Texture]:
    """Bicycle and rider as two pictures of the same size.

    Args:
        rng: random numbers.
        light: time of day.
        look: clothes of the rider.
        phase: 0..1, of the pedals.
        side: seen from the side (rides to the right), else from behind.
    """
    size = BICYCLE_M if side else BICYCLE_REAR_M
    bike, rider = Figure(rng, size), Figure(rng, size)
    tyre, frame = np.full(3, 0.03, np.float32), np.asarray(rng.uniform(0.05, 0.5, 3), np.float32)
    air, cloth = light.air_c, light.cloth_c + look.warm_k
    turn = 2 * math.pi * phase
    if side:
        for x in (-0.52, 0.52):
            ring = np.zeros(bike.size[::-1], np.uint8)
            cv2.circle(ring, bike.pixel((x, 0.34)), int(0.33 * _PX * 16), 255, 4, cv2.LINE_AA, 4)
            bike.part(ring, tyre, air + 2.5)
            spokes = np.zeros_like(ring)
            for k in range(9):
                a = turn * 1.5 + k * math.pi / 4.5
                cv2.line(spokes, bike.pixel((x, 0.34)), bike.pixel(
                    (x + 0.31 * math.cos(a), 0.34 + 0.31 * math.sin(a))), 70, 1, cv2.LINE_AA, 4)
            bike.part(spokes, frame, air)
        for a, b in (((-0.52, 0.34), (-0.12, 0.32)), ((-0.12, 0.32), (-0.24, 0.86)),
                     ((-0.12, 0.32), (0.36, 0.82)), ((-0.21, 0.76), (0.35, 0.88)),
                     ((-0.52, 0.34), (-0.22, 0.76)), ((0.34, 1.0), (0.52, 0.34))):
            bike.limb([a, b], [0.035, 0.035], frame, air - 0.5)
        bike.limb([(-0.34, 0.93), (-0.14, 0.92)], [0.07, 0.05], tyre, air + 6)
        bike.limb([(0.34, 1.0), (0.42, 1.05)], [0.03, 0.03], frame, air)
        for sign in (1, -1):
            foot = (-0.12 + 0.16 * math.cos(turn) * sign, 0.36 + 0.16 * math.sin(turn) * sign)
            knee = (0.5 * (foot[0] - 0.22) + 0.24, 0.5 * (foot[1] + 0.95) + 0.10)
            rider.limb([(-0.24, 0.97), knee, foot], [0.19, 0.14, 0.095], look.legs * (0.8 + 0.2 * (sign < 0)),
                       cloth + 0.5)
            rider.limb([foot, (foot[0] + 0.14, foot[1] - 0.02)], [0.08, 0.06], look.shoes, cloth - 3)
        rider.limb([(-0.24, 1.0), (-0.12, 1.25), (0.04, 1.46)], [0.24, 0.25, 0.18], look.top, cloth)
        rider.limb([(0.04, 1.44), (0.18, 1.2), (0.40, 1.08)], [0.12, 0.1, 0.07], look.top, cloth + 0.5)
        _rider_head(rider, light, look, (0.12, 1.64))
    else:
        bike.limb([(0.0, 0.03), (0.0, 0.66)], [0.045, 0.045], tyre, air + 2.5)
        bike.limb([(0.0, 0.66), (0.0, 0.95)], [0.04, 0.06], frame, air)
        bike.limb([(-0.1, 0.95), (0.1, 0.95)], [0.06, 0.06], tyre, air + 5)
        bike.limb([(-0.27, 1.06), (0.27, 1.06)], [0.035, 0.035], frame * 0.5, air)
        for sign in (1, -1):
            foot = (0.12 * sign, 0.36 + 0.16 * math.sin(turn) * sign)
            rider.limb([(0.1 * sign, 0.97), (0.14 * sign, 0.70 + 0.08 * math.sin(turn) * sign), foot],
                       [0.19, 0.14, 0.1], look.legs, cloth + 0.5)
            rider.limb([foot, (foot[0], foot[1] - 0.03)], [0.09, 0.09], look.shoes, cloth - 3)
        rider.limb([(0.0, 1.0), (0.0, 1.42)], [0.34, 0.33], look.top, cloth)
        for sign in (1, -1):
            rider.limb([(0.18 * sign, 1.42), (0.29 * sign, 1.25), (0.25 * sign, 1.08)], [0.12, 0.1, 0.08],
                       look.top, cloth + 0.5)
        _rider_head(rider, light, look, (0.0, 1.66))
    return bike.texture(), rider.texture()


def _rider_head(rider: Figure, light: Light, look: Look, centre: Point) -> None:
    """Neck, face and helmet of a rider."""
    x, y = centre
    rider.limb([(x - 0.05, y - 0.17), (x, y - 0.06)], [0.12, 0.11], look.skin * 0.8, light.skin_c)
    rider.limb([(x + 0.02, y - 0.04), (x + 0.01, y + 0.02)], [0.15, 0.17], look.skin, light.skin_c)
    rider.limb([(x - 0.05, y + 0.05), (x + 0.04, y + 0.07)], [0.13, 0.13],
               look.shoes if look.hood else look.hair, light.skin_c - 6)
