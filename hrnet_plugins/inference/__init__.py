"""Trained models outside the frameworks: files that other runtimes load, each checked against PyTorch."""

from hrnet_plugins.inference.files import FORMATS, Export, export
from hrnet_plugins.inference.parts import Part, exportable_part

__all__ = ['FORMATS', 'Export', 'Part', 'export', 'exportable_part']
