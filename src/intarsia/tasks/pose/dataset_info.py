"""What a data set of poses annotates: joints, which of them mirror each other, what is drawn between them.

Shapes: k joints.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intarsia.core.errors import closest

INFO_FOLDER = Path(__file__).parent / 'datasets' / 'info'


@dataclass(frozen=True)
class DatasetInfo:
    """The joints of a data set.

    Attributes:
        name: Of the data set.
        keypoint_names: Names of the K joints.
        flip_index: For every joint, which one it becomes in a mirrored image: itself, or its partner.
        upper_body_ids: Joints of the upper body.
        lower_body_ids: Joints of the lower body.
        skeleton: Pairs of joints that a line connects.
        keypoint_colors: R, G, B of every joint.
        skeleton_colors: R, G, B of every line.
        joint_weights: Weight of every joint in a loss.
        sigmas: How exactly people can place each joint, for OKS; empty if nobody has measured it.
    """

    name: str
    keypoint_names: tuple[str, ...]
    flip_index: tuple[int, ...]
    upper_body_ids: tuple[int, ...] = ()
    lower_body_ids: tuple[int, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    keypoint_colors: tuple[tuple[int, int, int], ...] = ()
    skeleton_colors: tuple[tuple[int, int, int], ...] = ()
    joint_weights: tuple[float, ...] = ()
    sigmas: tuple[float, ...] = ()

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoint_names)

    @property
    def flip_pairs(self) -> list[list[int]]:
        """Joints that change places in a mirrored image, each pair once, the smaller number first."""
        return [[i, j] for i, j in enumerate(self.flip_index) if i < j]

    @classmethod
    def of(cls, info: DatasetInfo | Mapping[str, Any] | str) -> DatasetInfo:
        """From the name of a data set that is known here, or from the dict ``dataset_info`` of a config.

        Args:
            info: A name (``'coco'``), or ``dataset_name``, ``keypoint_info`` (by number or in a list: ``name``,
                ``swap``, the name of its mirror image or ``''``, ``type``, ``'upper'``, ``'lower'`` or ``''``, and
                ``color``), ``skeleton_info`` (``link``, two names, and ``color``), ``joint_weights`` and ``sigmas``.

        Raises:
            ValueError: The name is not known; a joint is named that is not there; or lists have other lengths.
        """
        if isinstance(info, DatasetInfo):
            return info
        if isinstance(info, str):
            return _read(info)
        return _parse(info)


@functools.cache
def _read(name: str) -> DatasetInfo:
    file = INFO_FOLDER / f'{name}.json'
    if not file.is_file():
        known = sorted(each.stem for each in INFO_FOLDER.glob('*.json'))
        close = closest(name, known)
        hint = f" Did you mean '{close}'?" if close else ''
        raise ValueError(f"there is no dataset_info '{name}'.{hint} Known: {', '.join(known)}; or give a dict.")
    return _parse(json.loads(file.read_text(encoding='utf-8')))


def _parse(info: Mapping[str, Any]) -> DatasetInfo:
    name = str(info.get('dataset_name', 'data set'))
    joints = _in_order(info, 'keypoint_info', name)
    names = tuple(str(joint['name']) for joint in joints)
    number = {each: i for i, each in enumerate(names)}
    if len(number) != len(names):
        raise ValueError(f'dataset_info of {name}: two joints have one name')

    def id_of(joint: str, where: str) -> int:
        if joint not in number:
            close = closest(joint, names)
            hint = f" Did you mean '{close}'?" if close else ''
            raise ValueError(f"dataset_info of {name}: {where} names the joint '{joint}', which is not there.{hint}")
        return number[joint]

    links = _in_order(info, 'skeleton_info', name)
    flip = [id_of(joint.get('swap') or joint['name'], f"'swap' of {joint['name']}") for joint in joints]
    for i, j in enumerate(flip):
        if flip[j] != i:
            raise ValueError(f"dataset_info of {name}: 'swap' of {names[i]} is {names[j]}, but not the other way round")
    return DatasetInfo(
        name=name,
        keypoint_names=names,
        flip_index=tuple(flip),
        upper_body_ids=tuple(i for i, joint in enumerate(joints) if joint.get('type') == 'upper'),
        lower_body_ids=tuple(i for i, joint in enumerate(joints) if joint.get('type') == 'lower'),
        skeleton=tuple((id_of(a, 'a link'), id_of(b, 'a link')) for a, b in (link['link'] for link in links)),
        keypoint_colors=tuple(_color(joint) for joint in joints),
        skeleton_colors=tuple(_color(link) for link in links),
        joint_weights=_numbers(info, 'joint_weights', len(names), name) or (1.0,) * len(names),
        sigmas=_numbers(info, 'sigmas', len(names), name),
    )


def _in_order(info: Mapping[str, Any], key: str, name: str) -> list[Mapping[str, Any]]:
    """Entries of a list, or of a dict by number."""
    if key not in info and key == 'keypoint_info':
        raise ValueError(f"dataset_info of {name} has no 'keypoint_info': {', '.join(info)}")
    entries = info.get(key) or ()
    if not isinstance(entries, Mapping):
        return list(entries)
    by_number = {int(number): entry for number, entry in entries.items()}
    if sorted(by_number) != list(range(len(by_number))):
        raise ValueError(f'dataset_info of {name}: the numbers in {key} are not 0 ... {len(by_number) - 1}')
    return [by_number[i] for i in range(len(by_number))]


def _numbers(info: Mapping[str, Any], key: str, count: int, name: str) -> tuple[float, ...]:
    values: Sequence[float] = info.get(key) or ()
    if values and len(values) != count:
        raise ValueError(f'dataset_info of {name}: {len(values)} {key} for {count} joints')
    return tuple(map(float, values))


def _color(entry: Mapping[str, Any]) -> tuple[int, int, int]:
    red, green, blue = entry.get('color') or (255, 128, 0)
    return int(red), int(green), int(blue)
