"""What makes training run on machines without GPUs, and shows that it does. It needs mmengine only."""

from hrnet_plugins.training.ddp import AnyDeviceDDP
from hrnet_plugins.training.progress import ProgressHook
from hrnet_plugins.training.runner import GlooRunner
from hrnet_plugins.training.sync_bn_fallback import SyncBNFallbackHook

__all__ = ['AnyDeviceDDP', 'GlooRunner', 'ProgressHook', 'SyncBNFallbackHook']
