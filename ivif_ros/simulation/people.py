# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Walking people as articulated silhouettes, one picture per phase of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ivif_ros.simulation.figure import Figure, Point
from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array

PHASES = 14
"""Pictures per walking cycle (two steps)."""
PERSON_M = (1.24, 1.96)
"""Width and height of a person's billboard in metres; the feet stand at the bottom."""
STRIDE_M = 1.45
"""Way covered by one walking cycle in metres."""


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
        top=cloth(0.3, 0.6, 0.5) if bright else cloth(0.04, 0.22, 0.45),
        legs=cloth(0.03, 0.2, 0.3),
        skin=np.array((0.22, 0.30, 0.46), np.float32) * tan,
        hair=np.array((0.03, 0.04, 0.05), np.float32) * rng.uniform(0.8, 3),
        shoes=cloth(0.03, 0.4, 0.1),
        girth=float(rng.uniform(0.88, 1.15)),
        skirt_m=float(rng.choice([0.0, 0.0, 0.0, 0.25, 0.42])),
        bag=bool(rng.random() < 0.3),
        hood=bool(rng.random() < 0.25),
        warm_k=float(rng.normal(0, 1.2)),
    )


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
            figure.limb(leg, leg_widths, look.legs * dim, trousers)
            ankle = leg[2]
            figure.limb(
                [(ankle[0] - 0.03, ankle[1] - 0.02), (ankle[0] + 0.15, ankle[1] - 0.045)],
                [0.085, 0.06],
                look.shoes * dim,
                cloth - 4,
            )
            arm = _arm((0.0, hip_y + 0.5), -24 * math.sin(turn) * sign, 22)
            if sign == -1:
                _skirt(figure, look, cloth, hip_y, 0.13 + 0.05 * abs(math.sin(turn)))
                figure.limb(arm, arm_widths, look.top, cloth + 0.6)
                figure.limb(
                    [arm[2], (arm[2][0] + 0.03, arm[2][1] - 0.06)],
                    [0.075, 0.06],
                    look.skin,
                    light.skin_c - 2,
                )
    else:
        _front_view(figure, light, look, turn, hip_y, view, cloth, leg_widths, arm_widths)
    _head(figure, light, look, hip_y, view)
    return figure.texture()


def _side_torso(figure: Figure, look: Look, cloth: float, hip_y: float) -> None:
    """Torso seen from the side, and a backpack."""
    wide = look.girth
    if look.bag:
        figure.limb(
            [(-0.17, hip_y + 0.45), (-0.19, hip_y + 0.18)],
            [0.17, 0.22],
            look.shoes * 0.8,
            cloth - 4,
        )
    figure.limb(
        [(0.0, hip_y + 0.02), (0.0, hip_y + 0.28), (-0.01, hip_y + 0.5)],
        [0.22 * wide, 0.235 * wide, 0.17 * wide],
        look.top,
        cloth,
    )


def _skirt(figure: Figure, look: Look, cloth: float, hip_y: float, flare: float) -> None:
    """Coat or skirt below the hips."""
    if look.skirt_m:
        low = hip_y - look.skirt_m
        figure.shape(
            [(-0.12, hip_y + 0.1), (0.12, hip_y + 0.1), (0.05 + flare, low), (-0.05 - flare, low)],
            look.top * 0.92,
            cloth - 0.5,
        )


def _front_view(
    figure: Figure,
    light: Light,
    look: Look,
    turn: float,
    hip_y: float,
    view: str,
    cloth: float,
    leg_widths: list[float],
    arm_widths: list[float],
) -> None:
    """Body seen from the front or the back: legs lift in turn, arms hang and swing in depth."""
    wide = look.girth
    for sign in (1, -1):
        lift = max(0.0, math.sin(turn) * sign)
        hip = (0.085 * sign, hip_y)
        knee = (0.09 * sign, hip_y - 0.43 + 0.05 * lift)
        ankle = (0.08 * sign, 0.075 + 0.13 * lift)
        figure.limb([hip, knee, ankle], leg_widths, look.legs * (1 - 0.2 * lift), cloth - 0.8)
        figure.limb(
            [(ankle[0], ankle[1] - 0.02), (ankle[0] + 0.02 * sign, ankle[1] - 0.045)],
            [0.095, 0.085],
            look.shoes,
            cloth - 4,
        )
    shoulder = 0.19 * wide
    figure.limb([(0.0, hip_y), (0.0, hip_y + 0.1)], [0.33 * wide, 0.32 * wide], look.top, cloth)
    figure.shape(
        [
            (-0.165 * wide, hip_y - 0.02),
            (0.165 * wide, hip_y - 0.02),
            (0.16 * wide, hip_y + 0.25),
            (shoulder + 0.03, hip_y + 0.47),
            (0.09, hip_y + 0.57),
            (-0.09, hip_y + 0.57),
            (-shoulder - 0.03, hip_y + 0.47),
            (-0.16 * wide, hip_y + 0.25),
        ],
        look.top,
        cloth,
    )
    _skirt(figure, look, cloth, hip_y, 0.15)
    for sign in (1, -1):
        swing = math.sin(turn) * sign
        top = (sign * (shoulder + 0.015), hip_y + 0.47)
        elbow = (top[0] + sign * 0.045, top[1] - 0.29)
        wrist = (elbow[0] - sign * 0.01, elbow[1] - 0.22 + 0.05 * swing)
        figure.limb([top, elbow, wrist], arm_widths, look.top * (0.95 + 0.08 * swing), cloth + 0.4)
        figure.limb(
            [wrist, (wrist[0], wrist[1] - 0.07)], [0.07, 0.065], look.skin, light.skin_c - 2
        )
    if look.bag and view == 'back':
        figure.limb(
            [(0.0, hip_y + 0.42), (0.0, hip_y + 0.18)], [0.26, 0.3], look.shoes * 0.8, cloth - 4
        )


def _head(figure: Figure, light: Light, look: Look, hip_y: float, view: str) -> None:
    """Neck, face and hair."""
    neck, skull = hip_y + 0.55, hip_y + 0.72
    lean = 0.02 if view == 'side' else 0.0
    figure.limb(
        [(0.0, neck - 0.02), (lean, neck + 0.08)], [0.12, 0.11], look.skin * 0.8, light.skin_c
    )
    figure.limb(
        [(lean, skull - 0.05), (lean, skull + 0.03)],
        [0.15, 0.175],
        look.skin if view != 'back' else look.hair,
        light.skin_c if view != 'back' else light.skin_c - 3,
    )
    cap = light.skin_c - (7 if look.hood else 3)
    if view == 'side':
        figure.limb(
            [(lean - 0.045, skull - 0.01), (lean - 0.015, skull + 0.06)],
            [0.13, 0.14],
            look.top if look.hood else look.hair,
            cap,
        )
    else:
        figure.limb(
            [(-0.02, skull + 0.07), (0.02, skull + 0.07)],
            [0.125, 0.125],
            look.top if look.hood else look.hair,
            cap,
        )
