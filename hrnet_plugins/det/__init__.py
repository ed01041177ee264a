"""What the detection recipes need beyond mmdet. Importing it needs mmcv only; mmdet is found when a part is built."""

from hrnet_plugins.det.batch_pad import BatchOrientedPad
from hrnet_plugins.det.random_resize_crop import RandomResizeCrop
from hrnet_plugins.det.stuff_maps import StuffMapsHook

__all__ = ['BatchOrientedPad', 'RandomResizeCrop', 'StuffMapsHook']
