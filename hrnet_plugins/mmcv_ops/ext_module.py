# Written into mmcv as mmcv/_ext.py by `hrnet-plugins mmcv-ops install`, deleted by `hrnet-plugins mmcv-ops remove`.
"""mmcv's operators on torchvision's, in the place of the compiled ones."""

try:
    from hrnet_plugins.mmcv_ops import extension
except ModuleNotFoundError as error:
    if error.name not in ('hrnet_plugins', 'hrnet_plugins.mmcv_ops'):
        raise
    raise ImportError(
        'mmcv has its operators from hrnet-plugins, which is not installed here any more: install it again, or delete '
        f'{__file__} and compile mmcv'
    ) from error


def __getattr__(name: str) -> object:
    return getattr(extension, name)


def __dir__() -> list[str]:
    return sorted(extension.OPERATORS)
