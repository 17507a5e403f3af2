"""1.x data sets in the words of the house."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from intarsia.config.dialects.reader import Reader
from intarsia.core.index import builtin_entries

Translate = Callable[[Reader], dict[str, Any]]

WRAPPERS = ('RepeatDataset', 'ConcatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset', 'RepeatAugDataset')

NOT_NEEDED = (
    'serialize_data', 'lazy_init', 'max_refetch', 'backend_args', 'file_client_args', 'filter_cfg', 'indices',
    'metainfo', 'headbox_file', 'fps', 'sample_interval',
)  # fmt: skip
"""Arguments about how annotations are kept in memory or read."""


def joined_path(root: Any, path: Any) -> Any:
    """A path below a root, as configs write them."""
    if not isinstance(path, str) or not isinstance(root, str) or not root or path.startswith('/'):
        return path or root
    return f'{root.rstrip("/")}/{path}' if path else root


def _names(reader: Reader) -> dict[str, Any]:
    info = reader.take('metainfo') or {}
    if not isinstance(info, Mapping):
        return {}
    words = {'classes': 'classes', 'CLASSES': 'classes', 'palette': 'palette', 'PALETTE': 'palette'}
    return {words[key]: value for key, value in info.items() if key in words}


def _prefix(reader: Reader, *names: str) -> Any:
    """``data_prefix``, a folder or a dict of folders."""
    prefix = reader.take('data_prefix')
    if isinstance(prefix, Mapping):
        return next((prefix[name] for name in names if name in prefix), '')
    return prefix or ''


def _image_net(reader: Reader) -> dict[str, Any]:
    root, split = reader.take('data_root', ''), reader.take('split', '')
    folder = _prefix(reader, 'img_path') or (split if split else '')
    found = {'data_prefix': joined_path(root, folder), **_names(reader)}
    annotations = reader.take('ann_file', '')
    if annotations:
        found['ann_file'] = joined_path(root, annotations)
    elif split and split != 'train':
        found['ann_file'] = joined_path(root, f'meta/{split}.txt')
    return found


def _small_images(reader: Reader) -> dict[str, Any]:
    root, split = reader.take('data_root', ''), reader.take('split', '')
    return {'data_prefix': joined_path(root, _prefix(reader)), **({'test_mode': split == 'test'} if split else {})}


def _voc(reader: Reader) -> dict[str, Any]:
    root, split = reader.take('data_root', ''), reader.take('split', 'trainval')
    return {'data_prefix': root, 'ann_file': joined_path(root, f'ImageSets/Main/{split}.txt')}


def _segmentation(reader: Reader) -> dict[str, Any]:
    prefix = reader.take('data_prefix') or {}
    words = {'img_path': 'img_dir', 'seg_map_path': 'ann_dir'}
    found = {words[key]: value for key, value in prefix.items() if key in words} if isinstance(prefix, Mapping) else {}
    if (split := reader.take('ann_file', '')) != '':
        found['split'] = split
    return {**found, **_names(reader)}


POSE_NAMES = {
    'CocoDataset': {'topdown': 'TopDownCocoDataset', 'bottomup': 'BottomUpCocoDataset'},
    'CrowdPoseDataset': {'topdown': 'TopDownCrowdPoseDataset', 'bottomup': 'BottomUpCrowdPoseDataset'},
    'AicDataset': {'topdown': 'TopDownAicDataset', 'bottomup': 'BottomUpAicDataset'},
    'CocoWholeBodyDataset': {'topdown': 'TopDownCocoWholeBodyDataset', 'bottomup': 'BottomUpCocoWholeBodyDataset'},
    'MpiiDataset': 'TopDownMpiiDataset', 'JhmdbDataset': 'TopDownJhmdbDataset', 'HalpeDataset': 'TopDownHalpeDataset',
    'OCHumanDataset': 'TopDownOCHumanDataset', 'PoseTrack18Dataset': 'TopDownPoseTrack18Dataset',
    'Human36mDataset': 'TopDownH36MDataset', 'MhpDataset': 'TopDownMhpDataset', 'TRBDataset': 'TopDownMpiiTrbDataset',
    'WFLWDataset': 'FaceWFLWDataset', 'AFLWDataset': 'FaceAFLWDataset', 'COFWDataset': 'FaceCOFWDataset',
    'CocoWholeBodyFaceDataset': 'FaceCocoWholeBodyDataset', 'CocoWholeBodyHandDataset': 'HandCocoWholeBodyDataset',
    'AP10KDataset': 'AnimalAP10KDataset', 'LocustDataset': 'AnimalLocustDataset', 'ZebraDataset': 'AnimalZebraDataset',
    'ATRWDataset': 'AnimalATRWDataset', 'FlyDataset': 'AnimalFlyDataset', 'MacaqueDataset': 'AnimalMacaqueDataset',
    'Horse10Dataset': 'AnimalHorse10Dataset', 'PanopticHand2DDataset': 'PanopticDataset',
}  # fmt: skip


def _pose(reader: Reader) -> dict[str, Any]:
    kind, mode = reader.take('type'), reader.take('data_mode', 'topdown')
    name = POSE_NAMES.get(str(kind), kind)
    root = reader.take('data_root', '')
    found = {'type': name.get(mode, kind) if isinstance(name, Mapping) else name}
    if kind == 'CombinedDataset':  # its data sets have files, each its own
        return {**found, 'dataset_info': joints_of(reader.take('metainfo'))}
    found['ann_file'] = joined_path(root, reader.take('ann_file', ''))
    found['img_prefix'] = joined_path(root, _prefix(reader, 'img'))
    boxes = reader.take('bbox_file')
    if boxes is not None:
        path = boxes if str(boxes).startswith('data/') else joined_path(root, boxes)
        found['data_cfg'] = {'use_gt_bbox': False, 'bbox_file': path, 'det_bbox_thr': 0.0}
    info = joints_of(reader.take('metainfo'))
    return {**found, 'dataset_info': info} if info else found


def joints_of(info: Any) -> Any:
    """The name of a data set's joints, where ``metainfo`` names a file, or what it says."""
    if isinstance(info, Mapping) and 'from_file' in info:
        return str(info['from_file']).rpartition('/')[2].removesuffix('.py')
    return info


def _action(reader: Reader) -> dict[str, Any]:
    root = reader.take('data_root', '')
    found = {'ann_file': joined_path(root, reader.take('ann_file', ''))}
    prefix = _prefix(reader, 'video', 'img', 'audio', 'skeleton')
    if prefix:
        found['data_prefix'] = joined_path(root, prefix)
    return {**found, **_names(reader)}


KINDS: dict[str, dict[str, Translate]] = {
    'classification': {
        'ImageNet': _image_net, 'ImageNet21k': _image_net, 'CustomDataset': _image_net, 'CIFAR10': _small_images,
        'CIFAR100': _small_images, 'MNIST': _small_images, 'FashionMNIST': _small_images, 'VOC': _voc,
    },
    'segmentation': {}, 'pose': {}, 'action': {},
}  # fmt: skip

USUAL: dict[str, Translate] = {
    'classification': _image_net,
    'segmentation': _segmentation,
    'pose': _pose,
    'action': _action,
}

SAME_BUT_NAMES = {'BaseSegDataset': 'CustomDataset'}


@functools.cache
def known_data_sets(task: str) -> frozenset[str]:
    """Data sets that are not a user's own, whose arguments nobody knows."""
    ours = {e.name for e in builtin_entries() if e.registry == 'DATASETS' and e.task in (task, None)}
    return frozenset(ours | KINDS[task].keys() | POSE_NAMES.keys() | SAME_BUT_NAMES.keys())


def translate_data_set(reader: Reader, task: str) -> dict[str, Any]:
    """One data set, without its pipeline and without what it wraps, which the caller has taken.

    Args:
        reader: Its node.
        task: Whose.
    """
    kind = str(reader.take('type'))
    if kind not in known_data_sets(task):
        return {'type': kind, **reader.rest()}
    reader = Reader({'type': kind, **reader.rest()}, reader.path, reader.findings)
    translate = KINDS[task].get(kind, USUAL[task])
    found = {'type': SAME_BUT_NAMES.get(kind, kind), **translate(reader)}
    reader.drop('type', *NOT_NEEDED)
    return {**found, **reader.rest()}
