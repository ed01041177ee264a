"""mmcv's operators on torchvision's, for environments whose mmcv was installed without a compiler.

``mmcv.ops`` needs one compiled module, ``mmcv._ext``. :mod:`~hrnet_plugins.mmcv_ops.extension` has its names, and
:mod:`~hrnet_plugins.mmcv_ops.install` puts a small module of that name into the installed mmcv. The functions have
the extension's interface: they write into the tensors that they are given, and know nothing of autograd, which
mmcv's own Python code adds. Importing this package imports neither torch nor mmcv.
"""
