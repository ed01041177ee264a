"""The catalog of published weights, from what the installed packages publish.

python -m tools.weights_catalog      # write hrnet_plugins/weights/catalog.json, which is `make catalog`

Facts come from the metafiles of mmdet, mmseg and mmpretrain, from mmengine's table of pretrained backbones, from timm's
table of pretrained models, and, where no package has them, from published_weights.yml. Both stacks give the same rows.
A file of a new release that no rule here can name is an error.
"""

import functools
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import yaml

from hrnet_plugins.weights.catalog import ROWS, Source, Weight, row_of

FACTS = Path(__file__).with_name('published_weights.yml')
HOSTS = ('https://mmassets.onedl.ai', 'https://download.openmmlab.com')
"""The onedl stack's host and the openmmlab stack's, which have the same files under the same paths."""
BUCKET = 'https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmdetection/models/hrnet'
HRNET = 'https://github.com/HRNet'
OPENMMLAB = 'https://github.com/open-mmlab'
SEG_FILES = 'https://github.com/hsfzxjy/models.storage/releases/download/HRNet-OCR'
DATASETS = {
    'cityscapes': 'Cityscapes',
    'cityscapes_trainval': 'Cityscapes',
    'lip': 'LIP',
    'pascal59': 'Pascal Context 59',
    'cocostuff': 'COCO-Stuff 10k',
    'ade20k': 'ADE20K',
}
MASKS = ('mask-rcnn', 'cascade-mask-rcnn', 'htc')
DETECTOR = re.compile(
    r'(?P<method>[a-z_]+)_hrnetv2p_(?P<arch>w\d+)(_gn-head)?(?P<ms>_mstrain(_640-800)?)?(_4x4)?'
    r'_(?P<schedule>\d+x|\d+e)(_coco)?_[\d_]+-[0-9a-f]{8}'
)
CLASSIFIER = re.compile(r'hrnet-(w\d+)_3rdparty_8xb32(-ssld)?_in1k_\d+-[0-9a-f]{8}')
TIMM = re.compile(r'hrnet_(?P<arch>w\d+(_small(_v2)?)?)(?P<ssld>_ssld)?\.(?P<tag>ms_aug|ms|gluon|paddle)_in1k')
SEG_ARCHS = {'hr18s': 'w18_small_v2', 'hr18': 'w18', 'hr48': 'w48'}
"""mmseg's small W18 is the second of the two that HRNet-Image-Classification published."""


def installed():
    """The folder of configs of each installed framework."""
    specs = {name: importlib.util.find_spec(name) for name in ('mmdet', 'mmseg', 'mmpretrain')}
    return {name: Path(spec.origin).parent / '.mim' / 'configs' for name, spec in specs.items() if spec}


def catalog(roots):
    """All rows by name, in the order in which they are listed.

    Args:
        roots: The folder of configs of mmdet, mmseg and mmpretrain.

    Raises:
        ValueError: If one of them publishes a file on HRNet that no rule here can name.
    """
    facts = yaml.safe_load(FACTS.read_text())
    classifiers = _classifiers(facts, roots['mmpretrain'])
    rows = _backbones(classifiers) | {f'cls_{name}': weight for name, weight in classifiers.items()}
    rows |= _official_segmentation(facts)
    rows |= _named('mmseg', roots, _segmentor)
    rows |= _named('mmdet', roots, _detector)
    rows |= dict(_mmdet1(file, scores) for file, scores in facts['mmdet1'].items())
    return rows


def files_on_hrnet(configs):
    """The models in the metafiles of a framework whose configs are built on HRNet: those with a file."""
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    for metafile in sorted((*configs.glob('*/metafile.yml'), *configs.glob('*/metafile.yaml'))):
        content = yaml.load(metafile.read_text(encoding='utf-8'), loader)  # noqa: S506, both are safe loaders
        models = content.get('Models') or () if isinstance(content, dict) else content
        for model in models:
            config = configs.parent / str(model.get('Config'))
            if model.get('Weights') and _built_on_hrnet(config):
                yield model


@functools.cache
def _built_on_hrnet(config):
    if not config.is_file():
        return False
    text = config.read_text(encoding='utf-8')
    if re.search(r"""type=['"]HRNet['"]""", text):
        return True
    bases = re.findall(r"""['"](\.?[^'":]+\.py)['"]""", text)
    return any(_built_on_hrnet((config.parent / base).resolve()) for base in bases)


def _named(framework, roots, rule):
    rows = {}
    for model in files_on_hrnet(roots[framework]):
        try:
            name, weight = rule(model)
        except (KeyError, TypeError) as error:
            raise ValueError(f'{framework} publishes {model["Weights"]} on HRNet, and no rule names it') from error
        if name in rows:
            raise ValueError(f'{framework} publishes two files that the rule names {name}')
        config = weight.recipe.removeprefix(f'{framework}::')
        if config != weight.recipe and not (roots[framework] / config).is_file():
            raise ValueError(f'{framework} has no config {config} for {model["Weights"]}')
        rows[name] = weight
    return rows


def _mirrored(url):
    """The same file on both stacks' hosts; its name ends in the first digits of its SHA-256."""
    path = next(url.removeprefix(host) for host in HOSTS if url.startswith(host))
    digits = path.rsplit('-', 1)[1].removesuffix('.pth')
    return tuple(Source(f'{host}{path}', sha256=digits) for host in HOSTS)


def _results(model):
    """Dataset and metrics of a model, which a metafile has in one result or in one a task."""
    results = model['Results'] if isinstance(model['Results'], list) else [model['Results']]
    return results[0]['Dataset'], {key: value for result in results for key, value in result['Metrics'].items()}


def _classifiers(facts, mmpretrain):
    """Classifiers by the name of their backbone."""
    release = f'{HRNET}/HRNet-Image-Classification/releases/download/PretrainedWeights'
    rows = {}
    for name, row in facts['classification'].items():
        rows[name] = Weight(
            part='model',
            sources=(Source(f'{release}/{row["file"]}'),) if 'file' in row else (),
            score=f'ImageNet top-1 {row["top1"]}',
            origin=f'{HRNET}/HRNet-Image-Classification',
            task='Image Classification',
            dataset='ImageNet-1k',
            arch=name.removesuffix('_cutmix').removesuffix('_ssld'),
            recipe=row['recipe'],
        )
    _add_timm(rows, facts['timm'])
    for model in files_on_hrnet(mmpretrain):
        found = CLASSIFIER.fullmatch(Path(model['Weights']).stem)
        name = found and found[1] + (found[2] or '').replace('-', '_')
        if name not in rows:
            raise ValueError(f'mmpretrain publishes {model["Weights"]} on HRNet, and no rule names it')
        rows[name] = replace(rows[name], sources=rows[name].sources + _mirrored(model['Weights']))
    return rows


def _add_timm(rows, facts):
    """Add timm's models: as sources of the weights that they are copies of, or as weights of their own."""
    from timm.models import get_pretrained_cfg, list_pretrained  # noqa: PLC0415, slow to import

    for model in list_pretrained('hrnet*'):
        found = TIMM.fullmatch(model)
        if found is None:
            raise ValueError(f'timm publishes {model}, and no rule names it')
        cfg = get_pretrained_cfg(model)
        arch = {'w18_small': 'w18_small_v1'}.get(found['arch'], found['arch'])
        base = arch + (found['ssld'] or '')
        source = Source(f'hf://{cfg.hf_hub_id}')
        if found['tag'] in ('ms', 'paddle'):
            rows[base] = replace(rows[base], sources=(*rows[base].sources, source))
            continue
        row = facts[model]
        options, how = _timms_test(cfg)
        rows[f'{base}_{found["tag"]}'] = replace(
            rows[base],
            sources=(source,),
            score=f'ImageNet top-1 {row["top1"]}{how}' if 'top1' in row else 'none published with it',
            origin=row['origin'],
            licence={'mit': 'MIT', 'apache-2.0': 'Apache-2.0'}[cfg.license],
            options=options,
            note=f'The network of the recipe, trained otherwise; timm tests it{how or " as the recipe does"}.',
        )


def _timms_test(cfg):
    """How timm tests a model, as changes to our recipes' test, and in words."""
    resize = 'test_dataloader.dataset.pipeline.1'  # ResizeEdge, to 256 pixels with bilinear interpolation
    options, words = {}, []
    if cfg.crop_pct != 0.875:
        options[f'{resize}.scale'] = int(cfg.input_size[-1] / cfg.crop_pct)
        words.append(f'on a crop of {cfg.crop_pct:.0%}')
    if cfg.interpolation != 'bilinear':
        options[f'{resize}.interpolation'] = cfg.interpolation
        words.append(f'with {cfg.interpolation} interpolation')
    return options, ''.join(f' {text}' for text in words)


def _backbones(classifiers):
    """The backbones of the classifiers, and copies of the backbones alone that mmengine's names lead to."""
    rows = {name: replace(row, part='backbone', recipe='', options={}, note='') for name, row in classifiers.items()}
    spec = importlib.util.find_spec('mmengine')
    urls = json.loads((Path(spec.origin).parent / 'hub' / 'openmmlab.json').read_text())
    for key, url in urls.items():
        if key.startswith('msra/hrnetv2_'):
            name = key.removeprefix('msra/hrnetv2_')
            name = {'w18_small': 'w18_small_v2'}.get(name, name)
            rows[name] = replace(rows[name], sources=rows[name].sources + _mirrored(url))
    return rows


def _official_segmentation(facts):
    return {
        name: Weight(
            part='model',
            # Files of torch 0.4 were trained with InPlaceABN, whose scale is |gamma| + 1e-5.
            sources=(
                Source(
                    f'{SEG_FILES}/{row["file"]}.pth',
                    format='official-seg-abn' if row['file'].endswith('torch04') else '',
                ),
            ),
            score=row['score'],
            origin=f'{HRNET}/HRNet-Semantic-Segmentation',
            task='Semantic Segmentation',
            dataset=DATASETS[name.split('_', 2)[2]],
            arch='w48',
            recipe=row['recipe'],
        )
        for name, row in facts['segmentation'].items()
    }


def _segmentor(model):
    """A model of mmseg's, under mmseg's name for it.

    The metafile names two models of 160k iterations after those of 80k; the file's name has the right number.
    """
    dataset, metrics = _results(model)
    iterations = re.search(r'[_-](\d+k)[_-]', Path(model['Weights']).name)[1]
    name = re.sub(r'-\d+k_', f'-{iterations}_', model['Name'])
    config = Path(model['Config']).with_name(f'{name}.py').relative_to('configs')
    more = f', multi-scale and flipped {metrics["mIoU(ms+flip)"]}' if 'mIoU(ms+flip)' in metrics else ''
    return name, Weight(
        part='model',
        sources=_mirrored(model['Weights']),
        score=f'{dataset} mIoU {metrics["mIoU"]}{more}',
        origin=f'{OPENMMLAB}/mmsegmentation',
        licence='Apache-2.0',
        task='Semantic Segmentation',
        dataset=dataset,
        arch=SEG_ARCHS[name.split('_')[1]],
        recipe=f'mmseg::{config.as_posix()}',
    )


def _detector(model):
    """A model of mmdet's, under the name of our recipe."""
    file = Path(model['Weights']).stem
    name, _, weight = _detector_of(file, _results(model)[1].values())
    return name, replace(weight, sources=_mirrored(model['Weights']), recipe=name)


def _mmdet1(file, scores):
    """A model of mmdet 1's."""
    name, recipe, weight = _detector_of(file, scores, '-mmdet1')
    source = Source(f'{BUCKET}/{file}.pth', sha256=file.rsplit('-', 1)[1])
    return name, replace(weight, sources=(source,), recipe=recipe, note='A file of mmdet 1, of 2019.')


def _detector_of(file, scores, mark=''):
    """The name of a detector from that of its file, the name of its test-only recipe, and its row."""
    parts = DETECTOR.fullmatch(file)
    method = parts['method'].replace('_', '-')
    scores = list(scores)
    model = f'{method}_hrnetv2p-{parts["arch"]}'
    name = f'{model}{mark}{"-ms" if parts["ms"] else ""}_{parts["schedule"]}_coco'
    masks = method in MASKS
    weight = Weight(
        part='model',
        sources=(),
        score=f'COCO val2017 box AP {scores[0]}' + (f', mask AP {scores[1]}' if masks else ''),
        origin=f'{OPENMMLAB}/mmdetection',
        licence='Apache-2.0',
        task='Instance Segmentation' if masks else 'Object Detection',
        dataset='COCO',
        arch=parts['arch'],
    )
    return name, f'{model}{mark}_coco', weight


def written(rows):
    """The text of the file of rows: one line a row, so that a change is seen."""
    lines = ',\n'.join(json.dumps(row_of(name, weight), ensure_ascii=False) for name, weight in rows.items())
    return f'[\n{lines}\n]\n'


if __name__ == '__main__':
    ROWS.write_text(written(catalog(installed())), encoding='utf-8')
