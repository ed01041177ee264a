"""Images a second out of a folder and out of zip files: mmdet's training pipeline, and decoding alone.

    python benchmarks/zip/benchmark.py [--images 400] [--repeats 5] [--workers 0 1 2]

The same JPEGs, made of scikit-learn's photographs at COCO's usual 640x480 and about its size in bytes, lie in a
folder, in a stored and in a deflated archive. Repeats of the three are interleaved, and the median of a repeat's
ratio to the folder's counts, so that a machine's slow minutes touch all alike. Writes ``results.json`` beside this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
import torch
from mmengine.registry import DATASETS, init_default_scope
from rich.console import Console
from sklearn.datasets import load_sample_images

import hrnet_plugins.io
from hrnet_plugins.environment import commit_of, distributions
from hrnet_plugins.io.collate import zip_collate
from hrnet_plugins.processor import cpu_name

HERE = Path(__file__).parent
STORAGES = {'folder': 'images/', 'zip, stored': 'stored.zip/images/', 'zip, deflated': 'deflated.zip/images/'}
METHODS = {'stored': zipfile.ZIP_STORED, 'deflated': zipfile.ZIP_DEFLATED}
LOAD = dict(type='LoadImageFromFile', backend_args=dict(backend='zip'))
PIPELINES: dict[str, list[dict[str, Any]]] = {
    'training pipeline': [
        LOAD,
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='Resize', scale=(1333, 800), keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ],
    'decoding alone': [LOAD],
}


def make_images(root: Path, count: int) -> float:
    """Write the folder, the archives and COCO annotations; return the mean size of a file in KiB."""
    rng = np.random.default_rng(0)
    photos = [photo[..., ::-1] for photo in load_sample_images().images]
    (root / 'images').mkdir()
    images, boxes = [], []
    for i in range(count):
        photo = photos[i % 2]
        zoom = rng.uniform(1.6, 2.2)
        large = cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        y, x = (int(rng.integers(have - side)) for have, side in zip(large.shape, (480, 640)))
        grain = rng.normal(0, 6, (480, 640, 3))
        picture = np.clip(large[y : y + 480, x : x + 640] + grain, 0, 255).astype(np.uint8)
        name = f'{i:012d}.jpg'
        cv2.imwrite(str(root / 'images' / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        images.append(dict(id=i, file_name=name, height=480, width=640))
        boxes += [
            dict(id=8 * i + j, image_id=i, category_id=1, bbox=[40 * j, 30 * j, 99, 99], area=9801, iscrowd=0)
            for j in range(8)
        ]
    coco = dict(images=images, annotations=boxes, categories=[dict(id=1, name='person')])
    (root / 'train.json').write_text(json.dumps(coco))
    files = sorted((root / 'images').iterdir())
    for name, method in METHODS.items():
        with zipfile.ZipFile(root / f'{name}.zip', 'w', method) as archive:
            for file in files:
                archive.write(file, f'images/{file.name}')
    return sum(file.stat().st_size for file in files) / len(files) / 1024


def one_pass(root: Path, storage: str, pipeline: list[dict[str, Any]], workers: int) -> tuple[float, float]:
    """Images a second, and this process's CPU milliseconds an image, over all images in a fixed random order.

    Starting workers and opening archives is not counted.
    """
    dataset = DATASETS.build(
        dict(
            type='mmdet.CocoDataset',
            data_root=str(root),
            ann_file='train.json',
            data_prefix=dict(img=STORAGES[storage]),
            metainfo=dict(classes=('person',)),
            pipeline=pipeline,
        )
    )
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=2,
        sampler=order[:8] + order,
        num_workers=workers,
        collate_fn=zip_collate,
    )
    batches = iter(loader)
    for _ in range(4):
        next(batches)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in batches:
        pass
    return len(order) / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / len(order)


def measure(root: Path, repeats: int, workers: list[int]) -> list[dict[str, Any]]:
    """A row for each pipeline, number of workers and storage."""
    rows = []
    for name, pipeline in PIPELINES.items():
        for number in workers:
            found: dict[str, list[float]] = {storage: [] for storage in STORAGES}
            spent: dict[str, list[float]] = {storage: [] for storage in STORAGES}
            for repeat in range(repeats):
                turn = repeat % len(STORAGES)
                for storage in [*list(STORAGES)[turn:], *list(STORAGES)[:turn]]:
                    rate, cpu = one_pass(root, storage, pipeline, number)
                    found[storage].append(rate)
                    spent[storage].append(cpu)
            for storage, rates in found.items():
                ratios = [rate / folder for rate, folder in zip(rates, found['folder'])]
                rows.append(
                    dict(
                        what=name,
                        workers=number,
                        storage=storage,
                        images_per_second=round(statistics.median(rates), 1),
                        to_folder=round(statistics.median(ratios), 3),
                        # With workers it is theirs that counts, which this process does not see. Other processes
                        # slow a rate down, and hardly this.
                        cpu_ms_per_image=None if number else round(statistics.median(spent[storage]), 3),
                        repeats=[round(rate, 1) for rate in rates],
                    )
                )
    return rows


def opening_seconds(root: Path, members: int) -> float:
    """What a worker spends on opening an archive of this many members, once."""
    path = root / 'many.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for i in range(members):
            archive.writestr(f'train2017/{i:012d}.jpg', b'')
    start = time.perf_counter()
    hrnet_plugins.io.ZipBackend().exists(f'{path}/train2017/{0:012d}.jpg')
    return time.perf_counter() - start


def environment() -> dict[str, Any]:
    """Machine, versions and commit."""
    return dict(
        cpu=cpu_name(),
        cores=os.cpu_count(),
        load_average=round(os.getloadavg()[0], 1),
        python=platform.python_version(),
        torch=torch.__version__,
        opencv=cv2.__version__,
        numpy=np.__version__,
        **distributions(('mmengine', 'mmcv', 'mmdet')),
        commit=commit_of(HERE, written=['results.json']),
    )


def main() -> None:
    """Measure, write ``results.json``, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--images', type=int, default=400)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--out', type=Path, default=HERE / 'results.json')
    args = parser.parse_args()
    init_default_scope('mmdet')
    mmengine.logging.MMLogger.get_instance('zip', log_level='WARNING')
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        kib = make_images(root, args.images)
        opening = opening_seconds(root, 118_287)
        rows = measure(root, args.repeats, args.workers)
    results = dict(
        command=f'python benchmarks/zip/benchmark.py {" ".join(sys.argv[1:])}'.strip(),
        images=args.images,
        mean_kib=round(kib, 1),
        seconds_to_open_train2017=round(opening, 2),
        lowest_ratio=min(row['to_folder'] for row in rows),
        environment=environment(),
        rows=rows,
    )
    args.out.write_text(json.dumps(results, indent=2) + '\n')
    console = Console()
    for row in rows:
        console.print(f'{row["what"]:18} {row["workers"]} {row["storage"]:14} '
                      f'{row["images_per_second"]:8.1f} {row["to_folder"]:6.3f} {row["cpu_ms_per_image"]}')  # fmt: skip


if __name__ == '__main__':
    main()
