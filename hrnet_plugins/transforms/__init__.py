"""Data transforms. Importing them needs mmcv (mmcv-lite suffices); the detection ones find mmdet when built."""

from hrnet_plugins.transforms.random_resize_crop import RandomResizeCrop

__all__ = ['RandomResizeCrop']
