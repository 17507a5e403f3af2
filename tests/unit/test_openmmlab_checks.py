"""Small checks and conversions; versions recorded from MMCV 1.7.2."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from intarsia.openmmlab import checks


@pytest.mark.parametrize(
    ('version', 'expected'),
    [
        ('1.7.2', (1, 7, 2, 0, 0, 0)),
        ('2.0.0rc4', (2, 0, 0, 0, -1, 4)),
        ('1.0.0rc', (1, 0, 0, 0, -1, 0)),
        ('1.11.0a0+gitbc2c6ed', (1, 11, 0, 0, -3, 0)),
        ('1.8.0.dev20210101', (1, 8, 0, 0, -4, 0)),
        ('1.2.post3', (1, 2, 0, 0, 1, 3)),
        ('1.2-3', (1, 2, 0, 0, 1, 3)),
        ('0.2.16beta', (0, 2, 16, 0, -2, 0)),
        ('1.2.3.4.5', (1, 2, 3, 4, 0, 0)),
        ('1.0.0a1.dev3', (1, 0, 0, 0, -3, 1)),
        ('1.0.post1.dev2', (1, 0, 0, 0, -4, 0)),
        ('2.6.0+cu124', (2, 6, 0, 0, 0, 0)),
        ('1!2.0', (2, 0, 0, 0, 0, 0)),
        ('v1.0c2', (1, 0, 0, 0, -1, 2)),
    ],
)
def test_versions(version: str, expected: tuple[int, ...]) -> None:
    assert checks.digit_version(version) == expected


def test_no_version() -> None:
    with pytest.raises(ValueError, match='no version'):
        checks.digit_version('parrots')
    assert checks.digit_version('1.2', length=2) == (1, 2, 0, 0)


def test_kinds() -> None:
    assert checks.is_str('a')
    assert not checks.is_str(b'a')
    assert checks.is_seq_of([1, 2.0], (int, float))
    assert not checks.is_seq_of([1, 'a'], int)
    assert not checks.is_seq_of({1}, int)
    assert not checks.is_seq_of((1,), int, seq_type=list)
    assert checks.is_list_of([], str)
    assert not checks.is_list_of((1,), int)
    assert checks.is_tuple_of((1,), int)


def test_collections() -> None:
    assert list(checks.iter_cast(['1', '2'], int)) == [1, 2]
    assert checks.list_cast('12', int) == [1, 2]
    assert checks.tuple_cast([1, 2], str) == ('1', '2')
    for wrong in (lambda: checks.iter_cast(3, int), lambda: checks.iter_cast([3], 'int')):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            wrong()
    assert checks.slice_list([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    assert checks.slice_list([1, 2, 3, 4], [1, 3]) == [[1], [2, 3, 4]]
    with pytest.raises(ValueError, match='4 cannot be cut into 3'):
        checks.slice_list([1, 2, 3, 4], 3)
    with pytest.raises(TypeError):
        checks.slice_list([1], (1,))  # type: ignore[arg-type]
    assert checks.concat_list([[1], [2, 3]]) == [1, 2, 3]
    assert checks.to_2tuple(3) == (3, 3)
    assert checks.to_3tuple([1, 2]) == [1, 2]
    assert checks.to_ntuple(5)('ab') == 'ab'


def test_apply_to() -> None:
    pair = namedtuple('pair', 'a b')
    data = {'x': [1, 'a', (2,)], 'y': pair(3, 'b')}
    doubled = checks.apply_to(data, lambda value: isinstance(value, int), lambda value: 2 * value)
    assert doubled == {'x': [2, 'a', (4,)], 'y': pair(6, 'b')}
    assert type(doubled['y']) is pair


class _Base:
    def run(self) -> None: ...

    def stop(self) -> None: ...


class _Own(_Base):
    name = 'own'

    def run(self) -> None: ...


def test_methods() -> None:
    assert checks.has_method(_Own(), 'stop')
    assert not checks.has_method(_Own(), 'name')
    assert checks.is_method_overridden('run', _Base, _Own)
    assert not checks.is_method_overridden('stop', _Base, _Own())
    with pytest.raises(TypeError, match='class'):
        checks.is_method_overridden('run', _Base(), _Own)  # type: ignore[arg-type]


def test_imports() -> None:
    assert checks.import_modules_from_strings('json') is json
    assert checks.import_modules_from_strings(['json', 'math']) == [json, math]
    assert checks.import_modules_from_strings([]) is None
    with pytest.raises(ImportError, match='no_such_module_xyz'):
        checks.import_modules_from_strings(['json', 'no_such_module_xyz'])
    with pytest.warns(UserWarning, match='no_such_module_xyz'):
        assert checks.import_modules_from_strings(['no_such_module_xyz'], allow_failed_imports=True) == [None]
    with pytest.raises(TypeError):
        checks.import_modules_from_strings([1])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ('needs', 'there', 'missing'),
    [(checks.requires_package, 'json', 'no_such_package_xyz'), (checks.requires_executable, 'sh', 'no-such-command')],
)
def test_prerequisites(needs: Callable[..., Any], there: str, missing: str) -> None:
    @needs(there)
    def fine() -> int:
        return 1

    @needs([there, missing])
    def lacking() -> int:
        return 1

    assert fine() == 1
    assert fine.__name__ == 'fine'
    with pytest.raises(RuntimeError, match=f'"{missing}" must be installed for "lacking"'):
        lacking()


def test_old_names_of_arguments() -> None:
    @checks.deprecated_api_warning({'old': 'new'}, cls_name='Thing')
    def run(a: int, new: int = 0) -> int:
        return a + new

    assert run(1, new=2) == 3
    with pytest.warns(DeprecationWarning, match=r"Thing\.run: 'old' is called 'new' now"):
        assert run(1, old=2) == 3
    with pytest.raises(ValueError, match='both are given'):
        run(1, old=2, new=3)


def test_old_functions() -> None:
    @checks.deprecated_function('0.1', '0.3', 'use walk')
    def run() -> int:
        """Run."""
        return 1

    with pytest.warns(DeprecationWarning, match='gone in 0.3. Please use walk'):
        assert run() == 1
    assert run.__doc__ == 'Run.'


def test_git_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert checks.get_git_hash(fallback='none') == 'none'
    who = {'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b', 'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@b'}
    subprocess.run(['git', 'init', '-q'], check=True)
    subprocess.run(['git', 'commit', '-q', '--allow-empty', '-m', 'x'], check=True, env={**os.environ, **who})
    assert len(checks.get_git_hash()) == 40
    assert checks.get_git_hash(digits=7) == checks.get_git_hash()[:7]


def test_environment() -> None:
    found = checks.collect_env()
    assert found['PyTorch'] == torch.__version__
    assert found['CUDA available'] == torch.cuda.is_available()
    assert {'sys.platform', 'Python', 'OpenCV', 'Intarsia'} <= found.keys()


@pytest.mark.filterwarnings('ignore:.*torch.jit.trace:DeprecationWarning')
def test_tracing() -> None:
    seen = []
    assert not checks.is_jit_tracing()
    torch.jit.trace(lambda x: (seen.append(checks.is_jit_tracing()), x + 1)[1], torch.ones(1))
    assert seen[0]
