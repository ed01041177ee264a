"""What makes training sure, shows how it goes, and lets it run on machines without GPUs. It needs mmengine only."""

from hrnet_plugins.training.check_run import CheckRunHook
from hrnet_plugins.training.checkpoint_hook import CheckpointHook
from hrnet_plugins.training.ddp import AnyDeviceDDP
from hrnet_plugins.training.progress import ProgressHook
from hrnet_plugins.training.runner import GlooRunner
from hrnet_plugins.training.sync_bn_fallback import SyncBNFallbackHook

__all__ = ['AnyDeviceDDP', 'CheckRunHook', 'CheckpointHook', 'GlooRunner', 'ProgressHook', 'SyncBNFallbackHook']
