# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What to do about what a look at a recording found: parameters and cautions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ivif_ros.bags.inspection_findings import CameraLook, Inspection
from ivif_ros.bags.inspection_images import ColourLook, ThermalLook
from ivif_ros.bags.inspection_pairs import PairingForecast, forecast
from ivif_ros.parameters import Parameters, from_dict, to_dict
from ivif_ros.sync.offset_filter import MIN_CHANGE_MS
from ivif_ros.types import Sensor

_SURE = 2.0
"""Standard deviations by which an offset must differ from zero to be recommended."""
_LATE_MS = 1000.0
_MOST_OFFSET_MS = 10_000.0
_AHEAD_MS = 20.0
_WAIT_MARGIN = 1.25
_CLOSE = 0.9
_MOST_WAIT_MS = 500.0
_FEW_FUSED = 0.9
_IRREGULAR = 0.15
_SATURATED = 0.05


@dataclass(frozen=True)
class Caution:
    """Something that may go wrong.

    Attributes:
        what: what was found.
        remedy: what to do.
        severe: True where the package cannot work, or not well.
    """

    what: str
    remedy: str
    severe: bool = False


@dataclass(frozen=True)
class Advice:
    """What is recommended for a recording.

    Attributes:
        parameters: full name -> value of parameters that should differ from their defaults.
        reasons: full name -> why.
        cautions: what may go wrong, the severe ones first.
        as_is: what the matcher makes of the recording with default parameters; None without both
            cameras.
        advised: the same with the recommended ones.
    """

    parameters: dict[str, Any]
    reasons: dict[str, str]
    cautions: tuple[Caution, ...]
    as_is: PairingForecast | None
    advised: PairingForecast | None


def advise(seen: Inspection) -> Advice:
    """Recommend parameters and warn.

    The parameters are checked by the rules of the package, and tried on the times that were seen.
    """
    cautions = list(_about_the_file(seen))
    if not seen.cameras:
        return Advice({}, {}, tuple(sorted(cautions, key=lambda item: not item.severe)), None, None)
    default = Parameters()
    as_is = forecast(seen.meters, default.sync)
    proposals = list(_proposals(seen))
    values = {name: value for name, value, _ in proposals}
    advised = from_dict(Parameters, values)
    after = forecast(seen.meters, advised.sync)
    defaults, checked = to_dict(default), to_dict(advised)
    changed = {name: checked[name] for name in values if checked[name] != defaults[name]}
    for sensor, camera in seen.cameras.items():
        cautions += _about_a_camera(sensor, camera)
    cautions += _about_both(seen, after)
    cautions.sort(key=lambda item: not item.severe)
    return Advice(changed, {name: why for name, _, why in proposals if name in changed},
                  tuple(cautions), as_is, after)


def _proposals(seen: Inspection) -> Iterator[tuple[str, Any, str]]:
    """Yield full name, value and reason of parameters."""
    rgb, thermal = (seen.cameras[sensor].timing for sensor in ('rgb', 'thermal'))
    offset = seen.offset
    sync = Parameters().sync
    if offset is not None and offset.known and max(
            MIN_CHANGE_MS, _SURE * offset.std_ms) < abs(offset.offset_ms) <= _MOST_OFFSET_MS:
        shift = round(offset.offset_ms, 1)
        why = 'motion in both streams shows it'
    elif offset is not None and not offset.known and (
            abs(offset.clocks_ms) <= _MOST_OFFSET_MS) and (
            abs(offset.clocks_ms) > _LATE_MS
            or min(rgb.latency_ms, thermal.latency_ms) < -_AHEAD_MS):
        # Nothing is received before it was exposed: one of the clocks is wrong.
        shift = round(offset.clocks_ms, 1)
        why = 'from the receive times, motion ' + (
            'shows nothing' if offset.parts else 'was not looked at')
    else:
        shift, why = 0.0, ''
    if shift:
        yield 'sync.thermal_offset_ms', shift, why
    slow = max((period for period in (rgb.period_ms, thermal.period_ms)
                if not math.isnan(period)), default=0.0)
    jitter = max(value for value in (rgb.jitter_ms, thermal.jitter_ms, 0.0)
                 if not math.isnan(value))
    tried = forecast(seen.meters, replace(
        sync, thermal_offset_ms=shift, tolerance_ms=min(1000.0, 0.5 * slow + 2 * jitter + 1)))
    if tried.skew_p99_ms > sync.tolerance_ms and not tried.held:
        # With the usual tolerance frames go alone, or take an older partner than they could have.
        fresh = forecast(seen.meters, replace(sync, thermal_offset_ms=shift))
        if (fresh.fused < _FEW_FUSED * tried.fused
                or tried.skew_ms < _FEW_FUSED * fresh.skew_ms):
            tolerance = math.ceil(tried.skew_p99_ms + 2 * jitter + 1)
            yield ('sync.tolerance_ms', float(min(1000, tolerance)),
                   f'partners are up to {tried.skew_p99_ms:.0f} ms apart')
    # Just before the next thermal frame the newest one is a period old.
    if thermal.period_ms + 3 * jitter > sync.max_age_ms:
        yield ('sync.max_age_ms', float(min(5000, math.ceil(0.15 * thermal.period_ms) * 10)),
               f'a thermal frame comes every {thermal.period_ms:.0f} ms only')
    wait_ms = tried.wait_p99_ms * _WAIT_MARGIN
    if tried.wait_p99_ms > _CLOSE * sync.max_wait_ms:
        yield ('sync.max_wait_ms', float(min(_MOST_WAIT_MS, math.ceil(wait_ms / 5) * 5)),
               f'partners arrive up to {tried.wait_p99_ms:.0f} ms apart')
    look = seen.cameras['thermal'].look
    if isinstance(look, ThermalLook) and look.radiometric in ('yes', 'likely') and (
            look.celsius_scale):
        yield 'thermal.celsius_scale', look.celsius_scale, look.words
        yield 'thermal.celsius_offset', look.celsius_offset, look.words


def _about_the_file(seen: Inspection) -> Iterator[Caution]:
    if seen.damage:
        yield Caution(seen.damage, 'only what is intact was looked at; rescue it before replaying '
                      'it, see below')
    if seen.looked.broke_off:
        yield Caution(f'some of it cannot be read: {seen.looked.broke_off}',
                      'what can be read before and after it was looked at; rescue it before '
                      'replaying it, see below')
    if seen.choice_problem:
        yield Caution(seen.choice_problem,
                      'name both cameras with --rgb-topic and --thermal-topic' if seen.images else
                      'record the images of both cameras (sensor_msgs Image or CompressedImage)',
                      severe=True)


def _about_a_camera(sensor: Sensor, camera: CameraLook) -> Iterator[Caution]:
    timing, name = camera.timing, camera.topic.name
    if not timing.messages:
        yield Caution(f'no image on {name} in the parts that were looked at',
                      'look at all of it with --all', severe=True)
        return
    if camera.undecodable:
        reasons = ', '.join(f'{key} {count}' for key, count in camera.undecodable.items())
        yield Caution(f'images of {name} cannot be decoded: {reasons}',
                      'check the driver, or record another transport of the camera',
                      severe=camera.look is None)
    if timing.zero_stamps:
        yield Caution(f'{timing.zero_stamps} of {timing.messages} images of {name} have no stamp',
                      'let the driver stamp at exposure: they cannot be paired', severe=True)
    if timing.backwards:
        yield Caution(f'stamps of {name} go back {timing.backwards} times',
                      'the clock was set, or two drivers publish on one topic')
    if timing.equal_stamps:
        yield Caution(f'{timing.equal_stamps} images of {name} carry the stamp of the one before',
                      'two publishers on one topic, or a driver that stamps too coarsely')
    if timing.repeated > 0.02 * timing.messages:
        yield Caution(
            f'{timing.repeated} of {timing.messages} images of {name} repeat the one before',
            'a driver that sends a slow camera at a higher rate, or a closed shutter (FFC); '
            'repeated thermal images count as frozen after thermal.freeze_ms')
    if timing.gaps:
        yield Caution(f'gaps in {name}: {timing.gaps}, in them {timing.missing} images missing; '
                      f'the longest {timing.largest_gap_ms:.0f} ms',
                      'images were lost before they were recorded: network, disk or USB')
    if timing.jitter_ms > _IRREGULAR * timing.period_ms:
        yield Caution(f'stamps of {name} jitter by {timing.jitter_ms:.1f} ms at a period of '
                      f'{timing.period_ms:.1f} ms',
                      'stamp at exposure (hardware trigger, PTP) rather than at reception')
    if abs(timing.latency_ms) > _LATE_MS or timing.latency_ms < -_AHEAD_MS:
        late_s, order = abs(timing.latency_ms) / 1e3, 'after' if timing.latency_ms > 0 else 'before'
        yield Caution(f'images of {name} were received {late_s:.2f} s {order} their stamp',
                      'the clock of the camera differs from that of the recorder: '
                      'synchronise them (PTP, chrony)')
    if camera.info.problem:
        yield Caution(f'{camera.info.topic}: {camera.info.problem}',
                      "not needed; with it, or a file of 'ivif calibrate', alignment is found "
                      'sooner')
    if len(camera.frame_ids) > 1:
        yield Caution(f'images of {name} come in several frames: {", ".join(camera.frame_ids)}',
                      'one topic should carry one camera')
    yield from _about_values(sensor, camera)


def _about_values(sensor: Sensor, camera: CameraLook) -> Iterator[Caution]:
    name, look = camera.topic.name, camera.look
    if isinstance(look, ColourLook):
        if look.colourless:
            yield Caution(f'the images of {name} have no colour',
                          'is this the colour camera? Name it with --rgb-topic')
        if look.dark > 0.9:
            yield Caution(f'{look.dark:.0%} of the pixels of {name} are dark',
                          'the fusion leans on the thermal camera; raise the exposure if it is day')
        if look.saturated > 0.3:
            yield Caution(f'{look.saturated:.0%} of the pixels of {name} are saturated',
                          'lower the exposure')
        return
    if not isinstance(look, ThermalLook):
        return
    if is_palette(camera):
        yield Caution(f'{name} carries a colour palette',
                      'publish mono8 or, better, mono16: colours cannot be turned back into heat')
    span = look.percentiles.get(99.0, 0.0) - look.percentiles.get(1.0, 0.0)
    if look.dtype != 'float32' and span < 8 * max(look.step, 1):
        yield Caution(f'the thermal images hold no more than {span:g} counts of contrast',
                      'a covered lens, a closed shutter, or a scene of one temperature')
    if look.at_maximum > _SATURATED and look.maximum > look.minimum:
        yield Caution(f'{look.at_maximum:.0%} of the thermal pixels are at {look.maximum:g}',
                      'the range of the camera is exceeded: switch it to low gain')
    if look.not_finite:
        yield Caution(f'{look.not_finite:.1%} of the thermal pixels are not finite',
                      'they become black')


def is_palette(camera: CameraLook) -> bool:
    """Tell whether thermal images come as colour pictures."""
    return camera.topic.encoding.lower().startswith(('bgr', 'rgb'))


def _about_both(seen: Inspection, after: PairingForecast) -> Iterator[Caution]:
    if not math.isnan(seen.overlap_s) and seen.overlap_s <= 0:
        yield Caution(
            f'by their stamps the cameras have no time in common ({-seen.overlap_s:.1f} s apart)',
            'synchronise their clocks; a difference of up to 10 s can be given as '
            'sync.thermal_offset_ms', severe=True)
    elif after.rgb_frames and after.fused_share < _FEW_FUSED:
        yield Caution(f'only {after.fused_share:.0%} of the RGB frames find a thermal frame even '
                      'with these parameters', 'see gaps and rates above',
                      severe=after.fused_share < 0.5)
    offset = seen.offset
    if offset is not None and not offset.known and offset.parts:
        yield Caution(f'the offset between the clocks is not known: {offset.reason}',
                      'record ten seconds in which the rig turns or something moves')
    found = seen.alignment
    if found is None:
        return
    if found.deformation is None:
        yield Caution(f'no pair shows how the images lie on each other: {found.words}',
                      "record structure that both cameras see, or give 'ivif calibrate' a longer "
                      'recording')
    elif 2 * found.agreeing <= found.pairs:
        yield Caution(f'only {found.agreeing} of {found.pairs} pairs agree on the alignment',
                      "'ivif calibrate' asks more of them")
    elif found.misaligned:
        yield Caution(
            f'the images are not aligned: {found.shift_px:.0f} px on average',
            "registration finds that by itself; 'ivif calibrate BAG --out rig.yaml' makes it known "
            'from the first frame on')
