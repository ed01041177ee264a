"""Telling before the first step what is wrong with the data and the config."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from hrnet_plugins.registry import HOOKS
from hrnet_plugins.training.config_check import check_config, datasets_of, raise_errors
from hrnet_plugins.training.findings import Finding
from hrnet_plugins.training.latest import first_process_decides

_CACHE = '.checked.json'


@HOOKS.register_module()
class CheckRunHook(Hook):
    """Check datasets, classes, heads and a sample of pictures before training: impossible is an error, odd a warning.

    It reads the annotation files, which takes seconds, and keeps the result in the work folder until a file or the
    config changes. The recipes have it; elsewhere ``custom_hooks=[dict(type='hrnet_plugins.CheckRunHook')]``.

    Raises:
        ValueError: From ``before_build``: what cannot be trained, with file and number, all of it.
    """

    priority = 'VERY_HIGH'

    def before_build(self, runner: Any) -> None:
        """Check what the runner's config names, in the first process, before the datasets are built from it."""
        found = first_process_decides(lambda: checked(runner.cfg, Path(runner.work_dir)))
        for finding in found:
            if finding.severity == 'warning':
                runner.logger.warning(finding.text)
        raise_errors(found)


def checked(config: Any, work_dir: Path) -> list[Finding]:
    """``check_config``, or what it found before for the same config and files.

    Args:
        config: mmengine's config, as it will be run.
        work_dir: Where the result is kept.
    """
    plain = config.to_dict() if hasattr(config, 'to_dict') else dict(config)
    key = hashlib.sha256(json.dumps([plain, _times(plain)], default=str, sort_keys=True).encode()).hexdigest()
    cache = work_dir / _CACHE
    try:
        kept = json.loads(cache.read_text())
        if kept['key'] == key:
            return [Finding(*finding) for finding in kept['found']]
    except (OSError, ValueError, KeyError, TypeError):  # none, or another version's
        pass
    found = check_config(plain)
    if not any(finding.severity == 'error' for finding in found):  # pictures may be mended without a trace in the key
        with contextlib.suppress(OSError):  # it is checked again next time
            cache.write_text(json.dumps(dict(key=key, found=[[f.severity, f.text] for f in found])))
    return found


def _times(config: Mapping[str, Any]) -> list[Any]:
    """Names, sizes and times of the files and folders that the datasets name."""
    found = []
    for loader in ('train_dataloader', 'val_dataloader'):
        for dataset in datasets_of((config.get(loader) or {}).get('dataset')):
            prefix = dataset.get('data_prefix') or ''
            paths = prefix.values() if isinstance(prefix, Mapping) else [prefix]
            for name in (dataset.get('ann_file') or '', *paths):
                path = Path(str(dataset.get('data_root') or ''), str(name or ''))
                if path.exists():
                    found.append([str(path), path.stat().st_mtime_ns, path.stat().st_size])
    return found
