"""Trained models at speed: accelerated where they are, or as files that other runtimes load."""

from hrnet_plugins.inference.accelerate import accelerate
from hrnet_plugins.inference.backends import BACKENDS
from hrnet_plugins.inference.files import FORMATS, Export, export
from hrnet_plugins.inference.parts import Part, exportable_part

__all__ = ['BACKENDS', 'FORMATS', 'Export', 'Part', 'accelerate', 'export', 'exportable_part']
