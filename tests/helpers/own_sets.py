"""Tiny data sets in the formats and layouts that people have: shapes drawn on noise, the same for the same seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import yaml
from PIL import Image, ImageDraw

CLASSES = ('ball', 'box', 'tile')
COLOURS = {'ball': (220, 60, 40), 'box': (40, 200, 80), 'tile': (60, 90, 230)}
VALUES = {'ball': 1, 'box': 2, 'tile': 3}
SIZE = (96, 64)


@dataclass
class Scene:
    """A picture with its objects: class, box (left, top, right, bottom) and polygon."""

    name: str
    image: Image.Image
    objects: list[tuple[str, tuple[int, int, int, int], list[float]]] = field(default_factory=list)

    def labels(self) -> np.ndarray:
        """The label map (H, W): 0 for the ground, 1 and more for classes."""
        canvas = Image.new('L', self.image.size)
        for name, _, polygon in self.objects:
            ImageDraw.Draw(canvas).polygon(polygon, fill=VALUES[name])
        return np.array(canvas)


def scene(name: str, seed: int, size: tuple[int, int] = SIZE) -> Scene:
    """One picture with one object of each class, apart from each other."""
    rng = np.random.default_rng(seed)
    width, height = size
    made = Scene(name, Image.fromarray(rng.integers(0, 80, (height, width, 3), np.uint8)))
    draw = ImageDraw.Draw(made.image)
    for i, label in enumerate(CLASSES):
        left = i * width // 3 + int(rng.integers(1, 5))
        top = int(rng.integers(2, height // 3))
        right, bottom = left + int(rng.integers(14, width // 3 - 6)), top + int(rng.integers(14, height // 2))
        polygon = [left, top, right, top, right, bottom, left, bottom]
        if label == 'ball':
            polygon = [
                (left + right) / 2,
                top,
                right,
                (top + bottom) / 2,
                (left + right) / 2,
                bottom,
                left,
                (top + bottom) / 2,
            ]
        draw.polygon(polygon, fill=COLOURS[label])
        made.objects.append((label, (left, top, right, bottom), [float(v) for v in polygon]))
    return made


def scenes(prefix: str, count: int) -> list[Scene]:
    """Several pictures with names of their own."""
    return [scene(f'{prefix}{i:02d}', seed=hash_of(prefix) + i) for i in range(count)]


def hash_of(text: str) -> int:
    """A number from a name, the same in every process."""
    return sum(ord(c) * 31**i for i, c in enumerate(text)) % 10_000


def sets(train: int = 6, val: int = 3, test: int = 2) -> dict[str, list[Scene]]:
    """A training, validation and test set."""
    return {'train': scenes('a', train), 'val': scenes('b', val), 'test': scenes('c', test)}


def save(made: Scene, folder: Path, suffix: str = '.jpg') -> Path:
    """Write a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{made.name}{suffix}'
    made.image.save(path, **(dict(quality=95) if suffix == '.jpg' else {}))
    return path


def coco(path: Path, made: list[Scene], *, names: dict[str, str] | None = None, outlines: bool = True, first: int = 1,
         extra: list[dict] | None = None) -> dict:  # fmt: skip
    """Write a COCO file."""
    data: dict = dict(images=[], annotations=[], categories=list(extra or []))
    data['categories'] += [dict(id=first + i, name=name) for i, name in enumerate(CLASSES)]
    if extra:
        for row in data['categories'][len(extra) :]:
            row['supercategory'] = extra[0]['name']
    for number, one in enumerate(made, start=1):
        name = (names or {}).get(one.name, f'{one.name}.jpg')
        data['images'].append(dict(id=number, file_name=name, width=one.image.width, height=one.image.height))
        for label, (x1, y1, x2, y2), polygon in one.objects:
            row = dict(
                id=len(data['annotations']) + 1,
                image_id=number,
                category_id=first + CLASSES.index(label),
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=0,
            )
            if outlines:
                row['segmentation'] = [polygon]
            data['annotations'].append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return data


def voc(path: Path, one: Scene, *, picture: str | None = None) -> None:
    """Write a VOC file; its boxes count from 1."""
    root = ET.Element('annotation')
    ET.SubElement(root, 'filename').text = picture or f'{one.name}.jpg'
    size = ET.SubElement(root, 'size')
    for key, value in (('width', one.image.width), ('height', one.image.height), ('depth', 3)):
        ET.SubElement(size, key).text = str(value)
    for label, box, _ in one.objects:
        node = ET.SubElement(root, 'object')
        ET.SubElement(node, 'name').text = label
        ET.SubElement(node, 'difficult').text = '0'
        bndbox = ET.SubElement(node, 'bndbox')
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
            ET.SubElement(bndbox, key).text = str(value + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path)


def yolo(path: Path, one: Scene, *, outlines: bool = False) -> None:
    """Write a YOLO file."""
    width, height = one.image.size
    lines = []
    for label, (x1, y1, x2, y2), polygon in one.objects:
        if outlines:
            values = [v / (height if i % 2 else width) for i, v in enumerate(polygon)]
        else:
            values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        lines.append(' '.join(map(str, [CLASSES.index(label), *values])))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def labelme(path: Path, one: Scene, *, picture: str | None = None) -> None:
    """Write a LabelMe file: a polygon, a rectangle, a polygon."""
    shapes = []
    for label, (x1, y1, x2, y2), polygon in one.objects:
        points = list(zip(polygon[::2], polygon[1::2])) if label != 'box' else [(x1, y1), (x2, y2)]
        shapes.append(dict(label=label, points=points, shape_type='polygon' if label != 'box' else 'rectangle'))
    data = dict(version='5.0', flags={}, shapes=shapes, imagePath=picture or f'{one.name}.jpg', imageData=None,
                imageHeight=one.image.height, imageWidth=one.image.width)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def label_map(path: Path, labels: np.ndarray, *, palette: dict[int, tuple[int, int, int]] | None = None) -> None:
    """Write a label map, in colours where there is a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if palette is None:
        Image.fromarray(labels.astype(np.uint8)).save(path)
        return
    colours = np.zeros((*labels.shape, 3), np.uint8)
    for value, colour in palette.items():
        colours[labels == value] = colour
    Image.fromarray(colours).save(path)


# ---------------------------------------------------------------------------------------------------------- detection


def coco_annotations(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        coco(root / 'annotations' / f'instances_{split}.json', rows)
        for one in rows:
            save(one, root / split)


def coco_2017(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        coco(root / 'annotations' / f'instances_{split}2017.json', rows)
        coco(root / 'annotations' / f'person_keypoints_{split}2017.json', rows[:1])
        (root / 'annotations' / f'captions_{split}2017.json').write_text(
            json.dumps(dict(images=[dict(id=1)], annotations=[dict(id=1, caption='shapes')], categories=[]))
        )
        for one in rows:
            save(one, root / f'{split}2017')


def coco_roboflow(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        folder = root / ('valid' if split == 'val' else split)
        coco(folder / '_annotations.coco.json', rows, extra=[dict(id=0, name='shapes', supercategory='none')])
        for one in rows:
            save(one, folder)


def coco_files(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        coco(root / f'{split}.json', rows, outlines=False)
        for one in rows:
            save(one, root / 'images')


def coco_one(root: Path, made: dict[str, list[Scene]]) -> None:
    rows = [one for split in made.values() for one in split]
    coco(root / 'annotations.json', rows, names={one.name: f'images/{one.name}.jpg' for one in rows})
    for one in rows:
        save(one, root / 'images')


def voc_main(root: Path, made: dict[str, list[Scene]]) -> None:
    base = root / 'VOC2012'
    for split, rows in made.items():
        listed = base / 'ImageSets' / 'Main' / f'{split}.txt'
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(''.join(f'{one.name}\n' for one in rows))
        for one in rows:
            save(one, base / 'JPEGImages')
            voc(base / 'Annotations' / f'{one.name}.xml', one)


def voc_flat(root: Path, made: dict[str, list[Scene]]) -> None:
    for one in [one for rows in made.values() for one in rows]:
        save(one, root)
        voc(root / f'{one.name}.xml', one)


def voc_folders(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        folder = root / ('valid' if split == 'val' else split)
        for one in rows:
            save(one, folder)
            voc(folder / f'{one.name}.xml', one)


def voc_png(root: Path, made: dict[str, list[Scene]]) -> None:
    for one in [one for rows in made.values() for one in rows]:
        save(one, root / 'images', '.png')
        voc(root / 'annotations' / f'{one.name}.xml', one, picture=f'{one.name}.png')


def _yaml(file: Path, **data) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(data))


def yolo_images(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / 'images' / split)
            yolo(root / 'labels' / split / f'{one.name}.txt', one)
    splits = {split: f'images/{split}' for split in made}
    _yaml(root / 'data.yaml', path='.', names=dict(enumerate(CLASSES)), nc=3, **splits)


def yolo_roboflow(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        folder = root / ('valid' if split == 'val' else split)
        for one in rows:
            save(one, folder / 'images')
            yolo(folder / 'labels' / f'{one.name}.txt', one)
    splits = dict(train='../train/images', val='../valid/images', test='../test/images')
    _yaml(root / 'data.yaml', names=list(CLASSES), nc=3, **splits)


def yolo_lists(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / 'images')
            yolo(root / 'labels' / f'{one.name}.txt', one)
        (root / f'{split}.txt').write_text(''.join(f'./images/{one.name}.jpg\n' for one in rows))
    splits = {split: f'{split}.txt' for split in made}
    _yaml(root / 'shapes.yaml', path='../elsewhere/shapes', names=list(CLASSES), **splits)


def yolo_outlines(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / split / 'images', '.png')
            yolo(root / split / 'labels' / f'{one.name}.txt', one, outlines=True)
    _yaml(root / 'data.yml', names=list(CLASSES), train='train/images', val=['val/images'], test='test/images')


def yolo_bare(root: Path, made: dict[str, list[Scene]]) -> None:
    for one in [one for rows in made.values() for one in rows]:
        save(one, root)
        yolo(root / f'{one.name}.txt', one)
    (root / 'classes.txt').write_text('\n'.join(CLASSES))


def labelme_flat(root: Path, made: dict[str, list[Scene]]) -> None:
    for one in [one for rows in made.values() for one in rows]:
        save(one, root)
        labelme(root / f'{one.name}.json', one)


def labelme_split(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / 'images' / split)
            labelme(root / 'labels' / split / f'{one.name}.json', one, picture=f'..\\images\\{one.name}.jpg')


DETECTION = {
    'coco': (coco_annotations, coco_2017, coco_roboflow, coco_files, coco_one),
    'voc': (voc_main, voc_flat, voc_folders, voc_png),
    'yolo': (yolo_images, yolo_roboflow, yolo_lists, yolo_outlines, yolo_bare),
    'labelme': (labelme_flat, labelme_split),
}
UNSPLIT = (coco_one, voc_flat, voc_png, yolo_bare, labelme_flat)

# ------------------------------------------------------------------------------------------------------- segmentation

GROUND = ('ground', *CLASSES)
PALETTE = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0)}


def masks_mmseg(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / 'img_dir' / split)
            label_map(root / 'ann_dir' / split / f'{one.name}.png', one.labels())
    (root / 'classes.txt').write_text('\n'.join(GROUND))


def masks_flat(root: Path, made: dict[str, list[Scene]]) -> None:
    for i, one in enumerate(one for rows in made.values() for one in rows):
        save(one, root / 'images', '.png' if i % 2 else '.jpg')
        label_map(root / 'masks' / f'{one.name}_mask.png', one.labels())
    (root / 'labels.txt').write_text('\n'.join(f'{i}: {name}' for i, name in enumerate(GROUND)))


def masks_ade(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        folder = {'train': 'training', 'val': 'validation', 'test': 'testing'}[split]
        for one in rows:
            save(one, root / 'images' / folder)
            label_map(root / 'annotations' / folder / f'{one.name}.png', one.labels())
    (root / 'classes.txt').write_text('\n'.join(GROUND))


def masks_camvid(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / split, '.png')
            label_map(root / f'{split}annot' / f'{one.name}.png', one.labels())
    (root / 'classes.txt').write_text('\n'.join(GROUND))


def masks_roboflow(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        folder = root / ('valid' if split == 'val' else split)
        for one in rows:
            save(one, folder)
            label_map(folder / f'{one.name}_mask.png', one.labels())
        rows_of = ''.join(f'{i}, {name}\n' for i, name in enumerate(GROUND))
        (folder / '_classes.csv').write_text(f'Pixel Value, Class\n{rows_of}')


def masks_voc(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        listed = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(''.join(f'{one.name}\n' for one in rows))
        for one in rows:
            save(one, root / 'JPEGImages')
            path = root / 'SegmentationClass' / f'{one.name}.png'
            path.parent.mkdir(exist_ok=True)
            indexed = Image.frombytes('P', one.image.size, one.labels().astype(np.uint8).tobytes())
            indexed.putpalette([channel for value in range(4) for channel in PALETTE[value]])
            indexed.save(path)
    (root / 'classes.txt').write_text('\n'.join(GROUND))


def masks_coloured(root: Path, made: dict[str, list[Scene]]) -> None:
    for split, rows in made.items():
        for one in rows:
            save(one, root / split, '.png')
            label_map(root / f'{split}_labels' / f'{one.name}_L.png', one.labels(), palette=PALETTE)
    rows_of = ''.join(f'{name},{",".join(map(str, PALETTE[i]))}\n' for i, name in enumerate(GROUND))
    (root / 'class_dict.csv').write_text(f'name,r,g,b\n{rows_of}')


def masks_cvat(root: Path, made: dict[str, list[Scene]]) -> None:
    for one in [one for rows in made.values() for one in rows]:
        save(one, root / 'images')
        label_map(root / 'SegmentationClass' / f'{one.name}.png', one.labels(), palette=PALETTE)
    lines = [f'{name}:{",".join(map(str, PALETTE[i]))}::' for i, name in enumerate(GROUND)]
    (root / 'labelmap.txt').write_text('# label:color_rgb:parts:actions\n' + '\n'.join(lines))


SEGMENTATION = (
    masks_mmseg,
    masks_flat,
    masks_ade,
    masks_camvid,
    masks_roboflow,
    masks_voc,
    masks_coloured,
    masks_cvat,
)
UNSPLIT_MASKS = (masks_flat, masks_cvat)

# ----------------------------------------------------------------------------------------------------- classification


def _single(label: str, name: str) -> Scene:
    one = scene(name, hash_of(label + name), (64, 48))
    one.objects = [row for row in one.objects if row[0] == label]
    return one


def _classes(root: Path, count: int, prefix: str, classes: tuple[str, ...] = CLASSES) -> None:
    for label in classes:
        for i in range(count):
            save(_single(label, f'{prefix}{label}{i}'), root / label)


def folders_split(root: Path) -> None:
    for split, count in (('train', 4), ('val', 2), ('test', 2)):
        _classes(root / split, count, split)


def folders_flat(root: Path) -> None:
    _classes(root, 5, 'x')


def folders_nested(root: Path) -> None:
    _classes(root / 'images', 5, 'x')


def folders_uneven(root: Path) -> None:
    _classes(root / 'train', 4, 't')
    _classes(root / 'valid', 2, 'v', CLASSES[1:])


CLASSIFICATION = (folders_split, folders_flat, folders_nested, folders_uneven)
