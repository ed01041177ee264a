"""Training hooks. They need mmengine only."""

from hrnet_plugins.hooks.stuff_maps import StuffMapsHook
from hrnet_plugins.hooks.sync_bn_fallback import SyncBNFallbackHook

__all__ = ['StuffMapsHook', 'SyncBNFallbackHook']
