"""The network's parts. They need torch, mmengine and mmcv (mmcv-lite suffices), and no framework."""

from hrnet_plugins.models.any_device_ddp import AnyDeviceDDP
from hrnet_plugins.models.batch_pad import BatchOrientedPad
from hrnet_plugins.models.hr_fuse import HRFuseScales
from hrnet_plugins.models.hrfpn import HRFPN
from hrnet_plugins.models.hrnet import HRModule, HRNet

__all__ = ['HRFPN', 'AnyDeviceDDP', 'BatchOrientedPad', 'HRFuseScales', 'HRModule', 'HRNet']
