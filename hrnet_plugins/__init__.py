"""The HRNet family for the OpenMMLab stack. Importing this imports neither torch nor any framework."""

from hrnet_plugins.archs import ARCHS, HRNetArch, Stage

__version__ = '0.1.0'
__all__ = ['ARCHS', 'HRNetArch', 'Stage', '__version__']
