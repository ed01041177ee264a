"""The network's parts. They need torch, mmengine and mmcv (mmcv-lite suffices), and no framework."""

from hrnet_plugins.models.hr_fuse import HRFuseScales
from hrnet_plugins.models.hr_module import HRModule
from hrnet_plugins.models.hrfpn import HRFPN
from hrnet_plugins.models.hrnet import HRNet
from hrnet_plugins.models.layers import BasicBlock, Bottleneck

__all__ = ['HRFPN', 'BasicBlock', 'Bottleneck', 'HRFuseScales', 'HRModule', 'HRNet']
