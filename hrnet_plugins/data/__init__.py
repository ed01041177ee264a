"""A user's own data: find out what a folder holds, read it, check it, describe it, and write a config for it."""

from hrnet_plugins.data.content import Content, DataError
from hrnet_plugins.data.load import load
from hrnet_plugins.data.machine import Machine
from hrnet_plugins.data.new import new
from hrnet_plugins.data.plan import Options

__all__ = ['Content', 'DataError', 'Machine', 'Options', 'load', 'new']
