"""Files as MMCV and MMEngine read and write them."""

from __future__ import annotations

import datetime
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.openmmlab import file_backends, file_formats, files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('b.txt', 'a.JPG', '.hidden.txt', 'sub/c.txt', '.git/d.txt', 'sub/deep/e.json'):
        file_backends.put_text('x', tmp_path / name)
    return tmp_path


def test_scandir(folder: Path) -> None:
    assert list(files.scandir(folder)) == ['a.JPG', 'b.txt']
    assert list(files.scandir(str(folder), '.txt', recursive=True)) == ['.git/d.txt', 'b.txt', 'sub/c.txt']
    assert list(files.scandir(folder, ('.jpg', '.json'), recursive=True)) == ['sub/deep/e.json']
    assert list(files.scandir(folder, '.jpg', case_sensitive=False)) == ['a.JPG']
    with pytest.raises(TypeError, match='dir_path'):
        files.scandir(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='suffix'):
        files.scandir(folder, ['.txt'])  # type: ignore[arg-type]


def test_list_dir_or_file(folder: Path) -> None:
    everything = ['.git', '.git/d.txt', 'a.JPG', 'b.txt', 'sub', 'sub/c.txt', 'sub/deep', 'sub/deep/e.json']
    assert list(file_backends.list_dir_or_file(folder, recursive=True)) == everything
    assert list(file_backends.list_dir_or_file(folder, list_file=False)) == ['.git', 'sub']
    assert list(file_backends.list_dir_or_file(folder, list_dir=False, suffix='.txt')) == ['b.txt']
    with pytest.raises(TypeError, match='folders have no suffix'):
        file_backends.list_dir_or_file(folder, suffix='.txt')


def test_paths(folder: Path) -> None:
    assert files.is_filepath('a')
    assert files.is_filepath(folder)
    assert not files.is_filepath(3)
    with files.fopen(folder / 'b.txt') as f:
        assert f.read() == 'x'
    with pytest.raises(ValueError, match='filepath'):
        files.fopen(3)  # type: ignore[arg-type]
    files.check_file_exist(folder / 'b.txt')
    with pytest.raises(FileNotFoundError, match='no no'):
        files.check_file_exist('no', 'no {}')
    file_backends.mkdir_or_exist('')
    file_backends.mkdir_or_exist(folder / 'x' / 'y')
    file_backends.mkdir_or_exist(folder / 'x' / 'y')
    files.symlink('b.txt', folder / 'link')
    files.symlink('a.JPG', folder / 'link')
    assert os.readlink(folder / 'link') == 'a.JPG'
    assert files.find_vcs_root(folder / 'sub' / 'c.txt') == str(folder)
    assert files.find_vcs_root(folder, markers=('.nothing-like-this',)) is None


def test_functions(tmp_path: Path) -> None:
    file = file_backends.join_path(tmp_path, 'new', 'a.txt')
    file_backends.put(b'abc', file)
    assert file_backends.get(file) == b'abc'
    assert file_backends.get_text(file, backend_args={'backend': 'local'}) == 'abc'
    assert file_backends.exists(file)
    assert file_backends.isfile(file)
    assert file_backends.isdir(tmp_path)
    assert not file_backends.isdir(file)
    with file_backends.get_local_path(file) as path:
        assert path == file
    copy = file_backends.copyfile(file, tmp_path / 'b.txt')
    file_backends.remove(copy)
    assert not file_backends.exists(copy)
    file_backends.copytree(tmp_path / 'new', tmp_path / 'newer')
    file_backends.rmtree(tmp_path / 'new')
    assert file_backends.get_file_backend(file).copyfile_from_local(tmp_path / 'newer' / 'a.txt', copy) == copy


def test_client(tmp_path: Path) -> None:
    client = file_backends.FileClient.infer_client({'backend': 'disk'}, 's3://not/looked/at')
    file = client.join_path(tmp_path, 'a.txt')
    client.put_text('abc', file)
    assert (client.get(file), client.get_text(file), client.exists(file)) == (b'abc', 'abc', True)
    assert client.name == 'LocalBackend'
    assert client.allow_symlink
    assert file_backends.FileClient('disk').isfile(file)
    assert file_backends.FileClient.infer_client(uri=file).isfile(file)
    assert pickle.loads(pickle.dumps(client)).isfile(file)
    parse = file_backends.FileClient.parse_uri_prefix
    assert [parse(each) for each in ('s3://a/b', 'one:s3://a', '/a/b')] == ['s3', 's3', None]


@pytest.mark.parametrize(
    'elsewhere',
    [
        lambda: file_backends.FileClient('petrel', path_mapping={}),
        lambda: file_backends.FileClient.infer_client(uri='https://host/a.jpg'),
        lambda: file_backends.get('s3://bucket/a.jpg'),
        lambda: file_backends.exists('a.jpg', backend_args={'backend': 'lmdb'}),
        lambda: files.load('s3://bucket/a.json'),
    ],
)
def test_files_are_on_disk(elsewhere: Callable[[], Any]) -> None:
    with pytest.raises(DataError, match='read from disk'):
        elsewhere()


def test_own_backend() -> None:
    @file_backends.FileClient.register_backend('mine', prefixes='own')
    class Mine(file_backends.BaseStorageBackend):
        def get(self, filepath: str) -> str:
            return f'content of {filepath}'

    assert file_backends.FileClient('mine').get('a') == 'content of a'
    assert file_backends.get('own://a') == 'content of own://a'  # type: ignore[comparison-overlap]
    assert not file_backends.FileClient('mine').allow_symlink
    with pytest.raises(KeyError, match='mine'):
        file_backends.register_backend('mine', Mine)
    file_backends.register_backend('mine', Mine, force=True)


@pytest.mark.parametrize('suffix', ['json', 'yaml', 'yml', 'pkl', 'pickle'])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    value = {'a': [1, 2.5, None, True], 'b': {'c': 'text'}}
    file = tmp_path / 'new' / f'a.{suffix}'
    assert files.dump(value, file) is None
    assert files.load(file) == value
    assert files.load(str(file), file_format=suffix, file_client_args={'backend': 'disk'}) == value
    content = files.dump(value, file_format=suffix)
    stream: Any = io.StringIO(content) if isinstance(content, str) else io.BytesIO(content)
    assert files.load(stream, file_format=suffix) == value
    written: Any = type(stream)()
    files.dump(value, written, file_format=suffix)
    assert written.getvalue() == content


def test_json_of_arrays() -> None:
    value = {'array': np.arange(3), 'number': np.float32(0.5), 'set': {4}, 'range': range(2)}
    assert files.dump(value, file_format='json') == '{"array": [0, 1, 2], "number": 0.5, "set": [4], "range": [0, 1]}'
    assert files.dump({'b': 1}, file_format='json', indent=1) == '{\n "b": 1\n}'
    with pytest.raises(TypeError, match='object'):
        files.dump(object(), file_format='json')


def test_pickles_run_nothing(tmp_path: Path) -> None:
    file = tmp_path / 'a.pkl'
    files.dump([np.arange(3), np.float32(2), {1}, b'', b'ab'], file)
    array, number, *others = files.load(file)
    assert (array.tolist(), number, others) == ([0, 1, 2], 2.0, [{1}, b'', b'ab'])
    files.dump(datetime.date(2020, 1, 1), file)
    with pytest.raises(DataError, match=r'a\.pkl: it holds datetime\.date.*pickle\.load'):
        files.load(file)
    file.write_bytes(b'broken')
    with pytest.raises(DataError, match=r'a\.pkl: the pickle cannot be read'):
        files.load(file)


def test_unknown_formats() -> None:
    with pytest.raises(TypeError, match=r"json, yaml, yml, pickle, pkl, not 'txt'"):
        files.load('a.txt')
    with pytest.raises(ValueError, match='file_format'):
        files.dump({})
    with pytest.raises(FileNotFoundError):
        files.load('nowhere.json')


def test_own_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_formats, 'file_handlers', dict(file_formats.file_handlers))
    monkeypatch.setattr(files, 'file_handlers', file_formats.file_handlers)

    @file_formats.register_handler(['shout'], end='!')
    class Shout(file_formats.BaseFileHandler):
        def __init__(self, end: str) -> None:
            self.end = end

        def load_from_fileobj(self, file: Any, **_: Any) -> str:
            return file.read().removesuffix(self.end).lower()

        def dump_to_str(self, obj: str, **_: Any) -> str:
            return obj.upper() + self.end

    files.dump('hello', tmp_path / 'a.shout')
    assert (tmp_path / 'a.shout').read_text() == 'HELLO!'
    assert files.load(tmp_path / 'a.shout') == 'hello'


def test_lists_and_dicts(tmp_path: Path) -> None:
    file = tmp_path / 'a.txt'
    file.write_text('1 cat\n2 dog cow\r\n3 owl', newline='')
    assert files.list_from_file(file) == ['1 cat', '2 dog cow', '3 owl']
    assert files.list_from_file(str(file), prefix='/', offset=1, max_num=1) == ['/2 dog cow']
    assert files.dict_from_file(file, key_type=int) == {1: 'cat', 2: ['dog', 'cow'], 3: 'owl'}
    file.write_text('1 cat\n\n')
    with pytest.raises(DataError, match=r'a\.txt:2'):
        files.dict_from_file(file)


def test_torch_is_not_imported() -> None:
    code = "import sys, intarsia.openmmlab.files; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, '-c', code], check=True)
