"""What to cite, as BibTeX, by a short name."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from types import MappingProxyType

from tools.recipe_tables import wrap


def _entry(kind: str, key: str, **fields: str) -> str:
    lines = ',\n'.join('\n'.join(wrap(f'{name} = {{{value}}}', '    ')) for name, value in fields.items())
    return f'@{kind}{{{key},\n{textwrap.indent(lines, "  ")}\n}}'


PAPERS: Mapping[str, str] = MappingProxyType(
    {
        'hrnet': _entry(
            'article',
            'wang2020hrnet',
            title='Deep High-Resolution Representation Learning for Visual Recognition',
            author='Wang, Jingdong and Sun, Ke and Cheng, Tianheng and Jiang, Borui and Deng, Chaorui and Zhao, Yang '
            'and Liu, Dong and Mu, Yadong and Tan, Mingkui and Wang, Xinggang and Liu, Wenyu and Xiao, Bin',
            journal='IEEE Transactions on Pattern Analysis and Machine Intelligence',
            year='2020',
            note='arXiv:1908.07919',
        ),
        'ocr': _entry(
            'inproceedings',
            'yuan2020ocr',
            title='Object-Contextual Representations for Semantic Segmentation',
            author='Yuan, Yuhui and Chen, Xilin and Wang, Jingdong',
            booktitle='European Conference on Computer Vision',
            year='2020',
            note='arXiv:1909.11065',
        ),
        'faster_rcnn': _entry(
            'inproceedings',
            'ren2015faster',
            title='Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks',
            author='Ren, Shaoqing and He, Kaiming and Girshick, Ross and Sun, Jian',
            booktitle='Advances in Neural Information Processing Systems',
            year='2015',
            note='arXiv:1506.01497',
        ),
        'mask_rcnn': _entry(
            'inproceedings',
            'he2017mask',
            title='Mask R-CNN',
            author="He, Kaiming and Gkioxari, Georgia and Doll{\\'a}r, Piotr and Girshick, Ross",
            booktitle='IEEE International Conference on Computer Vision',
            year='2017',
            note='arXiv:1703.06870',
        ),
        'cascade_rcnn': _entry(
            'article',
            'cai2019cascade',
            title='Cascade R-CNN: High Quality Object Detection and Instance Segmentation',
            author='Cai, Zhaowei and Vasconcelos, Nuno',
            journal='IEEE Transactions on Pattern Analysis and Machine Intelligence',
            year='2019',
            note='arXiv:1906.09756',
        ),
        'htc': _entry(
            'inproceedings',
            'chen2019htc',
            title='Hybrid Task Cascade for Instance Segmentation',
            author='Chen, Kai and Pang, Jiangmiao and Wang, Jiaqi and Xiong, Yu and Li, Xiaoxiao and Sun, Shuyang and '
            'Feng, Wansen and Liu, Ziwei and Shi, Jianping and Ouyang, Wanli and Loy, Chen Change and Lin, Dahua',
            booktitle='IEEE Conference on Computer Vision and Pattern Recognition',
            year='2019',
            note='arXiv:1901.07518',
        ),
        'fcos': _entry(
            'inproceedings',
            'tian2019fcos',
            title='FCOS: Fully Convolutional One-Stage Object Detection',
            author='Tian, Zhi and Shen, Chunhua and Chen, Hao and He, Tong',
            booktitle='IEEE International Conference on Computer Vision',
            year='2019',
            note='arXiv:1904.01355',
        ),
        'mmdetection': _entry(
            'article',
            'chen2019mmdetection',
            title='MMDetection: Open MMLab Detection Toolbox and Benchmark',
            author='Chen, Kai and Wang, Jiaqi and Pang, Jiangmiao and Cao, Yuhang and others',
            journal='arXiv:1906.07155',
            year='2019',
        ),
    }
)
"""BibTeX entries by key."""
