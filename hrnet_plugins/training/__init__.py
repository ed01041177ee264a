"""What makes training sure, lean and visible, and lets it run without GPUs. It needs mmengine and the models only."""

from hrnet_plugins.training.amp import CPUAmpOptimWrapper
from hrnet_plugins.training.check_run import CheckRunHook
from hrnet_plugins.training.checkpoint_hook import CheckpointHook
from hrnet_plugins.training.compile_hook import CompileHook
from hrnet_plugins.training.ddp import AnyDeviceDDP
from hrnet_plugins.training.progress import ProgressHook
from hrnet_plugins.training.runner import GlooRunner
from hrnet_plugins.training.sync_bn_fallback import SyncBNFallbackHook

__all__ = [
    'AnyDeviceDDP',
    'CPUAmpOptimWrapper',
    'CheckRunHook',
    'CheckpointHook',
    'CompileHook',
    'GlooRunner',
    'ProgressHook',
    'SyncBNFallbackHook',
]
