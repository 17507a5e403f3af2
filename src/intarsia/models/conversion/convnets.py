"""Convolutional networks of torchvision and timm."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from intarsia.models.conversion.layout import Layout, State, Target

Rules = tuple[tuple[str, Target], ...]

BLOCK = r'(layer\d\.\d+\.(?:conv\d|bn\d|downsample\.\d))'
FC: tuple[str, Target] = (r'(?:head\.)?fc', 'head.fc')
PLAIN: Rules = ((r'(conv1|bn1)', r'\1'), (BLOCK, r'\1'), FC)
DEEP_STEM: Rules = (
    *((rf'conv1\.{3 * i}', f'stem.{i}.conv') for i in range(3)),
    *((rf'conv1\.{3 * i + 1}', f'stem.{i}.bn') for i in range(2)),
    ('bn1', 'stem.2.bn'),
)
SHORTCUT: Rules = (
    (r'layer1\.0\.downsample\.1', 'layer1.0.downsample.0'),
    (r'layer1\.0\.downsample\.2', 'layer1.0.downsample.1'),
)
"""A shortcut that averages: where it does not shrink the map, theirs begins with a layer that does nothing."""
SQUEEZE: Rules = ((r'(layer\d\.\d+)\.se\.fc([12])', r'\1.se_layer.conv\2.conv'),)
SPLIT: Rules = ((r'(layer\d\.\d+\.conv2\.(?:conv|bn[01]|fc[12]))', r'\1'),)

STRIDE = "style='pytorch', the default: the 3 x 3 convolution has the stride."

RESNET = Layout('ResNet', ('ResNet', 'ResNeXt'),
                (r'conv1\.weight', r'layer1\.0\.conv1\.weight', r'layer4\.0\.bn1\.weight'),
                PLAIN, note=STRIDE)  # fmt: skip
SE_RESNET = Layout('SE-ResNet', ('SEResNet', 'SEResNeXt'), (*RESNET.marks, r'layer1\.0\.se\.fc1\.weight'),
                   (*SQUEEZE, *PLAIN), note=STRIDE)  # fmt: skip
_DEEP = (r'conv1\.6\.weight', r'layer4\.0\.conv1\.weight')
RESNET_C = Layout('ResNet-C', ('ResNetV1c',), (*_DEEP, r'layer1\.0\.downsample\.0\.weight'),
                  (*DEEP_STEM, (BLOCK, r'\1'), FC))  # fmt: skip
RESNET_D = Layout('ResNet-D', ('ResNetV1d',), (*_DEEP, r'layer[12]\.0\.downsample\.2\.weight'),
                  (*DEEP_STEM, *SHORTCUT, (BLOCK, r'\1'), FC))  # fmt: skip
RESNEST = Layout('ResNeSt', ('ResNeSt',), (*_DEEP, r'layer1\.0\.conv2\.fc1\.weight'),
                 (*DEEP_STEM, *SHORTCUT, *SPLIT, (BLOCK, r'\1'), FC))  # fmt: skip

# ---------------------------------------------------------------------- HRNet

HRNET = Layout(
    'HRNet',
    ('HRNet',),
    (r'transition1\.0\.0\.weight', r'stage4\.0\.branches\.0\.0\.conv1\.weight'),
    ((r'(conv[12]|bn[12])', r'\1'), (BLOCK, r'\1'), (r'((?:transition|stage)\d\..+?)', r'\1')),
    note='The classifier (incre_modules, downsamp_modules, final_layer, classifier) has no counterpart: use --partial.',
)

# ---------------------------------------------------------------------- VGG and AlexNet


def _number_modules(state: State) -> State:
    """Numbers of layers as where a convolution, its normalization and its activation are one module."""
    convs = sorted(
        int(key.split('.')[1])
        for key, value in state.items()
        if re.fullmatch(r'features\.\d+\.weight', key) and value.ndim == 4
    )
    has_norm = f'features.{convs[0] + 1}.weight' in state
    numbers: dict[str, str] = {}
    ours = 0
    for before, conv in zip([None, *convs], convs, strict=False):
        ours += 0 if before is None else 1 + (conv - before - 2 - has_norm)
        numbers |= {f'features.{conv}': f'features.{ours}.conv', f'features.{conv + 1}': f'features.{ours}.bn'}
    found: State = {}
    for key, value in state.items():
        layer, _, entry = key.rpartition('.')
        found[f'{numbers.get(layer, layer)}.{entry}'] = value
    return found


def _linear_layers(state: State) -> State:
    """Weights of linear layers, for those that are kept as convolutions over the whole map."""
    return {
        k: v.flatten(1) if re.fullmatch(r'pre_logits\.fc[12]\.weight', k) else v
        for k, v in _number_modules(state).items()
    }


_FEATURES: Rules = ((r'(features\.\d+\.(?:conv|bn))', r'\1'),)
_CLASSIFIER: Rules = ((r'(classifier\.\d)', r'\1'),)
_VGG_NOTE = 'num_classes of the backbone is that of the weights; with batch norm norm_cfg=dict(type="BN").'
VGG = Layout('VGG', ('VGG',), (r'features\.0\.weight', r'classifier\.0\.weight', r'classifier\.3\.weight'),
             (*_FEATURES, *_CLASSIFIER), _number_modules, _VGG_NOTE)  # fmt: skip
VGG_TIMM = Layout('VGG', ('VGG',), (r'features\.0\.weight', r'pre_logits\.fc1\.weight'),
                  (*_FEATURES, (r'pre_logits\.fc1', 'classifier.0'), (r'pre_logits\.fc2', 'classifier.3'),
                   (r'head\.fc', 'classifier.6')), _linear_layers, _VGG_NOTE)  # fmt: skip
ALEXNET = Layout('AlexNet', ('AlexNet',), (r'features\.10\.weight', r'classifier\.1\.weight', r'classifier\.4\.weight'),
                 ((r'((?:features|classifier)\.\d+)', r'\1'),),
                 note='num_classes of the backbone is that of the weights; images have 224 x 224 pixels.')  # fmt: skip

# ---------------------------------------------------------------------- mobile networks

MOBILENET_STAGES = (1, 2, 3, 4, 3, 3, 1)
"""Blocks of the stages of MobileNetV2."""


def _block_of(number: int, sizes: Sequence[int]) -> str:
    """``layer2.1`` for the fourth block of stages with so many blocks."""
    ends = list(itertools.accumulate(sizes))
    stage = next(i for i, end in enumerate(ends) if number < end)
    return f'layer{stage + 1}.{number - ([0, *ends])[stage]}'


def _mobile_block(match: re.Match[str]) -> str:
    """``features.4.conv.1.0`` is the convolution of the second unit, ``features.4.conv.3`` the last normalization."""
    block = _block_of(int(match[1]) - 1, MOBILENET_STAGES)
    unit = int(match[2])
    if match[3] is not None:
        return f'{block}.conv.{unit}.{("conv", "bn")[int(match[3])]}'
    units = 1 if match[1] == '1' else 2
    return f'{block}.conv.{units}.{("conv", "bn")[unit - units]}'


def _mobile_block_timm(match: re.Match[str]) -> str:
    stage, block, kind, layer = int(match[1]), match[2], match[3], match[4]
    units = ('dw', 'pw') if stage == 0 else ('pw', 'dw', 'pwl')
    unit = units.index(layer) if kind == 'conv_' else int(layer) - 1
    return f'layer{stage + 1}.{block}.conv.{unit}.{"conv" if kind == "conv_" else "bn"}'


MOBILENET_V2 = Layout(
    'MobileNetV2',
    ('MobileNetV2',),
    (r'features\.0\.0\.weight', r'features\.1\.conv\.0\.0\.weight', r'features\.18\.0\.weight'),
    (
        (r'features\.0\.0', 'conv1.conv'), (r'features\.0\.1', 'conv1.bn'),
        (r'features\.18\.0', 'conv2.conv'), (r'features\.18\.1', 'conv2.bn'),
        (r'features\.(\d+)\.conv\.(\d)(?:\.([01]))?', _mobile_block), (r'classifier\.1', 'head.fc'),
    ),
)  # fmt: skip
MOBILENET_V2_TIMM = Layout(
    'MobileNetV2',
    ('MobileNetV2',),
    (r'conv_stem\.weight', r'blocks\.0\.0\.conv_pw\.weight', r'blocks\.6\.0\.conv_pwl\.weight', r'bn2\.weight'),
    (
        ('conv_stem', 'conv1.conv'), ('bn1', 'conv1.bn'), ('conv_head', 'conv2.conv'), ('bn2', 'conv2.bn'),
        (r'blocks\.(\d)\.(\d+)\.(conv_|bn)(dw|pwl|pw|\d)', _mobile_block_timm), ('classifier', 'head.fc'),
    ),
)  # fmt: skip


def _shuffle_branch(match: re.Match[str]) -> str:
    """Convolutions, normalizations and activations of a branch are numbered through."""
    stage, block, branch, number = int(match[1]), match[2], match[3], int(match[4])
    unit = {'branch1': (0, 0, 1, 1), 'branch2': (0, 0, 0, 1, 1, 2, 2)}[branch][number]
    kind = {'branch1': 'cbcb', 'branch2': 'cb-cbcb'}[branch][number]
    return f'layers.{stage - 2}.{block}.{branch}.{unit}.{"conv" if kind == "c" else "bn"}'


SHUFFLENET_V2 = Layout(
    'ShuffleNetV2',
    ('ShuffleNetV2',),
    (r'stage2\.0\.branch1\.0\.weight', r'conv5\.0\.weight'),
    (
        (r'conv1\.0', 'conv1.conv'), (r'conv1\.1', 'conv1.bn'), (r'conv5\.0', 'layers.3.conv'),
        (r'conv5\.1', 'layers.3.bn'), (r'stage(\d)\.(\d+)\.(branch[12])\.(\d)', _shuffle_branch), FC,
    ),
)  # fmt: skip

# ---------------------------------------------------------------------- networks whose branches merge

_STAGE: Rules = (
    (r'stages\.(\d)\.(\d+)\.identity', lambda m: f'stage_{int(m[1]) + 1}.{m[2]}.branch_norm'),
    (r'stages\.(\d)\.(\d+)\.conv_(kxk|1x1)\.(conv|bn)',
     lambda m: f'stage_{int(m[1]) + 1}.{m[2]}.{_branch(m[3])}.{_part(m[4])}'),
)  # fmt: skip


def _branch(kind: str) -> str:
    return 'branch_3x3' if kind == 'kxk' else 'branch_1x1'


def _part(kind: str) -> str:
    return 'norm' if kind == 'bn' else 'conv'


REPVGG = Layout(
    'RepVGG',
    ('RepVGG',),
    (r'stem\.conv_kxk\.conv\.weight', r'stem\.conv_1x1\.conv\.weight'),
    ((r'stem\.conv_(kxk|1x1)\.(conv|bn)', lambda m: f'stem.{_branch(m[1])}.{_part(m[2])}'), *_STAGE, FC),
)


def _mobileone(match: re.Match[str]) -> str:
    stage = 'stage0' if match['stage'] is None else f'stage{int(match["stage"]) + 1}.{match["block"]}'
    branch = 'branch_scale' if match['number'] is None else f'branch_conv_list.{match["number"]}'
    return f'{stage}.{branch}.{_part(match["part"])}'


_MOBILEONE_BLOCK = r'(?:stem|stages\.(?P<stage>\d)\.(?P<block>\d+))\.'
MOBILEONE = Layout(
    'MobileOne',
    ('MobileOne',),
    (r'stem\.conv_kxk\.0\.conv\.weight', r'stem\.conv_scale\.conv\.weight'),
    (
        (_MOBILEONE_BLOCK + r'conv_(?:scale|kxk\.(?P<number>\d))\.(?P<part>conv|bn)', _mobileone),
        (r'stages\.(\d)\.(\d+)\.identity', lambda m: f'stage{int(m[1]) + 1}.{m[2]}.branch_norm'),
        (r'stages\.(\d)\.(\d+)\.attn\.fc([12])', lambda m: f'stage{int(m[1]) + 1}.{m[2]}.se.conv{m[3]}.conv'),
        FC,
    ),
)
