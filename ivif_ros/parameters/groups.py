# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""All parameters of the package, one field each: the single source for ROS, YAML, CLI and docs."""

from __future__ import annotations

from dataclasses import dataclass, field

from ivif_ros.parameters.spec import parameter

COLOUR_MAPS = (
    'none', 'autumn', 'bone', 'cividis', 'cool', 'deepgreen', 'hot', 'hsv', 'inferno', 'jet',
    'magma', 'ocean', 'parula', 'pink', 'plasma', 'rainbow', 'spring', 'summer', 'turbo',
    'twilight', 'twilight_shifted', 'viridis', 'winter')
"""Those of OpenCV, and none."""


@dataclass(frozen=True)
class SyncParameters:
    """Pairing of the two streams in time."""

    policy: str = parameter(
        'native', 'Who pairs the frames: this package, or message_filters where it is installed.',
        choices=('native', 'message_filters'))
    pairing: str = parameter(
        'hold', 'match: best one-to-one partner within the tolerance, else a partial pair. '
        'hold: as match, but an RGB frame without partner takes the newest thermal frame up to '
        'max_age_ms.',
        choices=('match', 'hold'), runtime=True)
    tolerance_ms: float = parameter(
        20.0, 'Largest difference of stamps that counts as the same time.', unit='ms',
        minimum=0.0, maximum=1000.0, runtime=True)
    max_age_ms: float = parameter(
        150.0, 'How old a held thermal frame may be (hold only).', unit='ms',
        minimum=0.0, maximum=5000.0, runtime=True)
    max_wait_ms: float = parameter(
        40.0, 'How long a frame waits for a partner before it goes out alone.', unit='ms',
        minimum=0.0, maximum=5000.0, runtime=True)
    rgb_offset_ms: float = parameter(
        0.0, 'Added to every RGB stamp for pairing (published stamps stay as they are).', unit='ms',
        minimum=-10000.0, maximum=10000.0, runtime=True)
    thermal_offset_ms: float = parameter(
        0.0, 'Added to every thermal stamp for pairing.', unit='ms',
        minimum=-10000.0, maximum=10000.0, runtime=True)
    offset_estimation: str = parameter(
        'report', 'What to do with the time offset that motion in both streams shows. off: do not '
        'look for it. report: tell what thermal_offset_ms should be. apply: pair by it as well.',
        choices=('off', 'report', 'apply'), runtime=True)
    queue_size: int = parameter(
        8, 'Frames of each camera that may wait for a partner.', minimum=1, maximum=1000)


@dataclass(frozen=True)
class ThermalParameters:
    """From raw thermal counts to an 8-bit image with steady contrast."""

    normalisation: str = parameter(
        'percentile', 'percentile: linear between two percentiles. clahe: locally adaptive on top '
        'of it, for scenes with fire. fixed: linear between range_min and range_max.',
        choices=('percentile', 'clahe', 'fixed'), runtime=True)
    percentile_low: float = parameter(
        0.5, 'Percentile of the counts that becomes black.', unit='%', minimum=0.0, maximum=50.0,
        runtime=True)
    percentile_high: float = parameter(
        99.8, 'Percentile of the counts that becomes white.', unit='%', minimum=50.0, maximum=100.0,
        runtime=True)
    smoothing_s: float = parameter(
        0.5, 'Time constant with which black and white level follow the scene; 0 follows at once.',
        unit='s', minimum=0.0, maximum=60.0, runtime=True)
    min_span: float = parameter(
        32.0, 'Smallest span between black and white of 16-bit input, so that the noise of an '
        'empty scene is not stretched to full contrast.', unit='counts', minimum=1.0,
        maximum=65535.0,
        runtime=True)
    min_span_8bit: float = parameter(
        64.0, 'The same for 8-bit input, which has been through the gain control of the camera.',
        unit='levels', minimum=1.0, maximum=255.0, runtime=True)
    min_span_float: float = parameter(
        1.0, 'The same for float input, in its own unit, most often degrees.', minimum=1e-6,
        maximum=1e6, runtime=True)
    clahe_clip: float = parameter(
        3.0, 'Contrast limit of CLAHE.', minimum=1.0, maximum=100.0, runtime=True)
    clahe_tiles: int = parameter(
        8, 'Tiles of CLAHE per side.', minimum=1, maximum=64, runtime=True)
    invert: bool = parameter(
        False, 'True where the camera delivers black-hot images.', runtime=True)
    range_min: float = parameter(
        0.0, 'Black level of fixed normalisation: degrees Celsius with a scale, else counts.',
        minimum=-1e6, maximum=1e6, runtime=True)
    range_max: float = parameter(
        50.0, 'White level of fixed normalisation: degrees Celsius with a scale, else counts.',
        minimum=-1e6, maximum=1e6, runtime=True)
    celsius_scale: float = parameter(
        0.0, 'Degrees Celsius per count (0.04 or 0.01 for many cameras); 0: counts have no '
        'temperature.', unit='degC/count', minimum=0.0, maximum=100.0, runtime=True)
    celsius_offset: float = parameter(
        -273.15, 'Degrees Celsius at count zero.', unit='degC', minimum=-1e5, maximum=1e5,
        runtime=True)
    freeze_ms: float = parameter(
        500.0, 'A camera that repeats the same image this long counts as frozen (shutter, cable).',
        unit='ms', minimum=0.0, maximum=60000.0, runtime=True)


@dataclass(frozen=True)
class RegistrationParameters:
    """Deformation that lays the thermal image on the RGB image."""

    mode: str = parameter(
        'refine', 'none: stretch only. calibrated: calibration alone. refine: images correct the '
        'first guess.', choices=('none', 'calibrated', 'refine'), runtime=True)
    calibration: str = parameter('', 'Calibration file of the rig (YAML); empty for none.')
    use_camera_info: bool = parameter(
        True, 'Take intrinsics from camera_info where the calibration file gives none.')
    use_tf: bool = parameter(
        False, 'Take the extrinsics from TF where tf2_ros is installed and no file gives them.')
    working_distance_m: float = parameter(
        15.0, 'Distance at which calibrated images coincide.', unit='m', minimum=0.05, maximum=1e5,
        runtime=True)
    period_ms: float = parameter(
        500.0, 'Time of the stream between two estimates from the images.', unit='ms', minimum=0.0,
        maximum=60000.0, runtime=True)
    apply_after_ms: float = parameter(
        400.0, 'Time of the stream after which an estimate that runs in the background takes '
        'effect; fixed, so that a recording gives the same images each time. Raise it on a machine '
        'that counts registration.late.', unit='ms', minimum=0.0, maximum=60000.0, runtime=True)
    smoothing_s: float = parameter(
        5.0, 'Time constant with which the geometry of the rig follows accepted estimates; '
        'parallax follows at once.', unit='s',
        minimum=0.0, maximum=60.0, runtime=True)
    min_confidence: float = parameter(
        0.1, 'Estimates below this confidence change nothing.', minimum=0.0, maximum=1.0,
        runtime=True)


@dataclass(frozen=True)
class FusionParameters:
    """How the two images become one."""

    method: str = parameter(
        'learned_pyramid', 'Fusion method, a name of the registry (ivif fuse --help lists '
        'them), or a network in a file: onnx:PATH or torchscript:PATH.', runtime=True)
    weights: str = parameter(
        '', 'File in place of the weights that come with the method; empty for those.',
        runtime=True)
    precision: str = parameter(
        'auto', 'Floating point numbers in networks; auto is float32 on a CPU and float16 on CUDA.',
        choices=('auto', 'float32', 'float16', 'bfloat16'))
    tile: int = parameter(
        0, 'Side of the tiles in which networks work on large images; 0 lets the memory that they '
        'need decide.', unit='px', minimum=0, maximum=65536)
    device: str = parameter('auto', 'auto, cpu, cuda or cuda:N; auto takes CUDA where it works.')
    threads: int = parameter(
        1, 'CPU threads of PyTorch and OpenCV for one image. One is the steadiest: several wait '
        'for each other whenever the machine is busy. 0 leaves the defaults of the libraries.',
        minimum=0, maximum=1024)
    steadiness: float = parameter(
        0.85, 'Against flicker in streams: share of the fused image before that is kept where '
        'neither camera sees a change. 0 fuses each pair for itself.', minimum=0.0, maximum=0.95,
        runtime=True)
    emphasis: float = parameter(
        0.5, 'What the fused image is for: 0 keeps the brightness of the RGB image and adds '
        'details only, 0.5 is the result of the method, 1 raises warm targets above quieter '
        'surroundings.', minimum=0.0, maximum=1.0, runtime=True)
    overexposure_prior: float = parameter(
        0.0, 'How far the thermal image replaces RGB that is saturated, beyond what the method '
        'does.', minimum=0.0, maximum=1.0, runtime=True)
    low_light_prior: float = parameter(
        0.0, 'How far the thermal image replaces RGB that is dark, beyond what the method does.',
        minimum=0.0, maximum=1.0, runtime=True)
    colour_map: str = parameter(
        'none', 'Colours of the temperature, laid over the fused image where it is warm; names of '
        'OpenCV.', choices=COLOUR_MAPS, runtime=True)
    colour_map_blend: float = parameter(
        0.5, 'How far those colours cover the warmest parts.', minimum=0.0, maximum=1.0,
        runtime=True)


@dataclass(frozen=True)
class HealthParameters:
    """When a camera is not worth trusting."""

    dark_level: float = parameter(
        12.0, 'RGB counts as dark when its 99th percentile of luminance is below this.',
        minimum=0.0, maximum=255.0, runtime=True)
    glare_share: float = parameter(
        0.6, 'RGB counts as blinded when this share of its pixels is saturated.', minimum=0.0,
        maximum=1.0, runtime=True)
    flat_level: float = parameter(
        8.0, 'An image counts as flat when the averages of its blocks differ by less than this: '
        'fog, a covered lens, a closed shutter, or a scene of one temperature.', minimum=0.0,
        maximum=255.0, runtime=True)
    recover_frames: int = parameter(
        3, 'Good frames in a row before a distrusted camera is trusted again.', minimum=1,
        maximum=1000, runtime=True)


@dataclass(frozen=True)
class DetectionParameters:
    """Objects in the fused image."""

    enabled: bool = parameter(True, 'Run the detector when somebody listens.', runtime=True)
    weights: str = parameter(
        'ivif', 'Model file that ultralytics loads (.pt, .onnx, .engine or an OpenVINO folder); '
        'ivif: the detector of the package; empty: no detection.')
    confidence: float = parameter(
        0.25, 'Smallest score of a detection.', minimum=0.0, maximum=1.0, runtime=True)
    iou: float = parameter(
        0.5, 'Overlap above which two boxes of one class are the same object.', minimum=0.0,
        maximum=1.0, runtime=True)
    image_size: int = parameter(
        640, 'Longer side of the detector input; exported models may fix it.', unit='px',
        minimum=32, maximum=4096)
    classes: list[str] = parameter(
        [''], 'Names of the classes to keep; one empty name keeps all.', runtime=True)
    track: str = parameter(
        'off', 'Tracker of ultralytics that gives an object the same id in image after image; '
        'botsort allows for the motion of the camera, which takes more time.',
        choices=('off', 'bytetrack', 'botsort'))
    threads: int = parameter(
        1, 'CPU threads of the detector where ONNX Runtime runs it; 0: as many as cores.',
        minimum=0, maximum=256)
    period_ms: float = parameter(
        0.0, 'Least time of the stream between two detections; 0 for every pair.', unit='ms',
        minimum=0.0, maximum=60000.0, runtime=True)


@dataclass(frozen=True)
class OutputParameters:
    """What leaves the node."""

    jpeg_quality: int = parameter(
        85, 'Quality of compressed output.', minimum=1, maximum=100, runtime=True)
    diagnostics_period_s: float = parameter(
        1.0, 'Time between two messages on /diagnostics.', unit='s', minimum=0.1, maximum=60.0)


@dataclass(frozen=True)
class Parameters:
    """Everything that can be set."""

    sync: SyncParameters = field(default_factory=SyncParameters)
    thermal: ThermalParameters = field(default_factory=ThermalParameters)
    registration: RegistrationParameters = field(default_factory=RegistrationParameters)
    fusion: FusionParameters = field(default_factory=FusionParameters)
    health: HealthParameters = field(default_factory=HealthParameters)
    detection: DetectionParameters = field(default_factory=DetectionParameters)
    output: OutputParameters = field(default_factory=OutputParameters)
