"""Published HRNet checkpoints: read them safely, convert their names and values, write them.

Reading and writing need torch only; converting compares with our backbone, which needs mmcv.
"""

from hrnet_plugins.state_dicts import check_against
from hrnet_plugins.weights.checkpoint_io import load_state_dict, save
from hrnet_plugins.weights.conversion import convert
from hrnet_plugins.weights.detect_arch import arch_of
from hrnet_plugins.weights.formats import FORMATS
from hrnet_plugins.weights.recognition import recognise
from hrnet_plugins.weights.report import Report

__all__ = ['FORMATS', 'Report', 'arch_of', 'check_against', 'convert', 'load_state_dict', 'recognise', 'save']
