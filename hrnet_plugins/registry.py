"""Child registries of mmengine's. A config reaches their members as ``type='hrnet_plugins.HRNet'``.

mmengine imports this module when it meets the scope ``hrnet_plugins``, whatever the default scope, and the
``locations`` when it first looks a name up: no ``custom_imports`` are needed.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='hrnet_plugins',
    locations=['hrnet_plugins.models', 'hrnet_plugins.det', 'hrnet_plugins.accelerated'],
)
MODEL_WRAPPERS = Registry(
    'model wrapper', parent=MMENGINE_MODEL_WRAPPERS, scope='hrnet_plugins', locations=['hrnet_plugins.training']
)
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope='hrnet_plugins', locations=['hrnet_plugins.det'])
HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, scope='hrnet_plugins', locations=['hrnet_plugins.det', 'hrnet_plugins.training']
)
FUNCTIONS = Registry(
    'function', parent=MMENGINE_FUNCTIONS, scope='hrnet_plugins', locations=['hrnet_plugins.io.collate']
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope='hrnet_plugins', locations=['hrnet_plugins.training']
)
RUNNERS = Registry('runner', parent=MMENGINE_RUNNERS, scope='hrnet_plugins', locations=['hrnet_plugins.training'])
# What is in these needs a framework, and is imported by the configs that use it.
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='hrnet_plugins')
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='hrnet_plugins')
