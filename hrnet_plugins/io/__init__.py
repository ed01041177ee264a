"""Storage: importing this gives mmengine the backend ``zip``. It needs mmengine only."""

from hrnet_plugins.io.zip_backend import ZipBackend

__all__ = ['ZipBackend']
