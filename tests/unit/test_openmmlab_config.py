"""The old packages' configs: changeable, readable by attribute, merged and written as they were."""

from __future__ import annotations

import argparse
import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

from intarsia.core.errors import ConfigError
from intarsia.openmmlab.config import Config, ConfigDict, DictAction, read_base

FILE = """
_base_ = './base.py'
model = dict(backbone=dict(depth=50), neck=dict(_delete_=True, type='FPN'), head=dict(_delete_=True, type='H'))
sizes = (224, 224)
"""
BASE = """
model = dict(type='Model', backbone=dict(type='ResNet', depth=18), neck=dict(type='GAP', dim=2))
pipeline = [dict(type='Load'), dict(type='Flip', prob=0.5)]
rate = 0.1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'config.py').write_text(FILE)
    return tmp_path / 'config.py'


class TestConfigDict:
    def test_dicts_within_are_the_same_kind(self) -> None:
        found = ConfigDict(a={'b': [{'c': 1}, ({'d': 2},)]})
        assert found.a.b[0].c == 1
        assert found['a'].b[1][0].d == 2
        found.e = {'f': {'g': 3}}
        found['h'] = [{'i': 4}]
        assert (found.e.f.g, found.h[0].i) == (3, 4)
        assert found.setdefault('j', {'k': 5}).k == 5
        assert found.pop('e').f.g == 3
        assert found.get('e') is None

    def test_what_is_set_stays_the_same_object(self) -> None:
        inner = ConfigDict(x=1)
        outer = ConfigDict(inner=inner)
        inner.x = 2
        assert outer.inner.x == 2

    def test_update_joins_dicts(self) -> None:
        found = ConfigDict(a=dict(b=1, c=2), d=[1])
        found.update({'a': {'b': 3}}, d=[2])
        assert found == {'a': {'b': 3, 'c': 2}, 'd': [2]}
        assert type(found.a) is ConfigDict
        assert found | {'a': {'e': 4}} == {'a': {'b': 3, 'c': 2, 'e': 4}, 'd': [2]}
        assert 'e' not in found.a
        found |= {'f': {}}
        assert type(found.f) is ConfigDict

    def test_merge_minds_delete(self) -> None:
        found = ConfigDict(a=dict(b=1), c=dict(d=1))
        found.merge({'a': {'_delete_': True, 'x': 1}, 'c': {'e': 2}})
        assert found == {'a': {'x': 1}, 'c': {'d': 1, 'e': 2}}
        assert type(found.a) is ConfigDict

    def test_missing_entries(self) -> None:
        found = ConfigDict(checkpoint_config=1)
        with pytest.raises(
            AttributeError, match="has no attribute 'chekpoint_config'. Did you mean 'checkpoint_config'"
        ):
            found.chekpoint_config  # noqa: B018 - it raises
        with pytest.raises(KeyError):
            found['nothing']
        with pytest.raises(AttributeError):
            del found.nothing
        with pytest.raises(AttributeError, match='is a method'):
            found.items = 1  # type: ignore[method-assign, assignment]
        assert not hasattr(found, 'nothing')
        del found.checkpoint_config
        assert not found

    @pytest.mark.parametrize('through', [copy.deepcopy, copy.copy, lambda c: pickle.loads(pickle.dumps(c)), ConfigDict])
    def test_copies(self, through: Any) -> None:
        found = ConfigDict(a=dict(b=[dict(c=(1, 2))]))
        other = through(found)
        assert type(other) is ConfigDict
        assert type(other.a.b[0]) is ConfigDict
        assert other == found

    def test_plain(self) -> None:
        found = ConfigDict(a=dict(b=[dict(c=(1, dict(d=2)))])).to_dict()
        assert found == {'a': {'b': [{'c': (1, {'d': 2})}]}}
        assert type(found['a']['b'][0]['c'][1]) is dict


class TestFromFile:
    def test_values(self, file: Path) -> None:
        """As both MMCV and MMEngine read it, with the ``_delete_`` that had nothing to delete."""
        found = Config.fromfile(str(file))
        assert found.to_dict() == {
            'model': {
                'type': 'Model',
                'backbone': {'type': 'ResNet', 'depth': 50},
                'neck': {'type': 'FPN'},
                'head': {'_delete_': True, 'type': 'H'},
            },
            'pipeline': [{'type': 'Load'}, {'type': 'Flip', 'prob': 0.5}],
            'rate': 0.1,
            'sizes': (224, 224),
        }
        assert found.filename == str(file)
        assert FILE in found.text
        assert BASE in found.text
        assert type(found.pipeline[1]) is ConfigDict

    def test_imports_custom_modules(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / 'a_module_of_mine.py').write_text('import builtins\n\nbuiltins.__dict__["imported_it"] = True\n')
        file = tmp_path / 'config.py'
        file.write_text("custom_imports = dict(imports='a_module_of_mine', allow_failed_imports=False)\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        import builtins

        Config.fromfile(file, import_custom_modules=False)
        assert not hasattr(builtins, 'imported_it')
        Config.fromfile(file)
        assert vars(builtins).pop('imported_it')
        file.write_text("custom_imports = dict(imports=['no_such_module_of_mine'])\n")
        with pytest.raises(ImportError, match='no_such_module_of_mine'):
            Config.fromfile(file)

    @pytest.mark.parametrize(
        ('text', 'old', 'words'),
        [
            (None, FileNotFoundError, 'does not exist'),
            ('a = (', SyntaxError, 'config.py:1: syntax error'),
            ('text = 1', KeyError, "'text' is reserved"),
            ('a = b', ConfigError, "name 'b' is not defined"),
        ],
    )
    def test_errors_are_ours_and_the_old_ones(self, text: str | None, old: Any, words: str, tmp_path: Path) -> None:
        file = tmp_path / 'config.py'
        if text is not None:
            file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            Config.fromfile(file)
        assert isinstance(caught.value, old)
        assert words in str(caught.value)
        assert words in ''.join(traceback.format_exception(caught.value))

    def test_text(self) -> None:
        assert Config.fromstring('a = dict(b=1)', '.py').a.b == 1
        assert Config.fromstring('{"a": {"b": 1}}', '.json').a.b == 1
        assert Config.fromstring('a:\n  b: 1\n', '.yaml').a.b == 1
        with pytest.raises(OSError, match="'.toml' is not .py, .json, .yaml or .yml"):
            Config.fromstring('a = 1', '.toml')


class TestConfig:
    def test_a_dict_of_attributes(self) -> None:
        config = Config(dict(model=dict(type='A', pretrained='x'), data=dict(test=dict(type='B'))))
        config.model.pretrained = None
        config.data.test.test_mode = True
        config.gpu_ids = range(1)
        config['seed'] = 3
        config.device = {'kind': 'cpu'}
        assert config.device.kind == 'cpu'
        assert (config.model.pretrained, config.data.test.test_mode) == (None, True)
        assert config.get('nothing', 7) == 7
        assert 'seed' in config
        assert list(config) == ['model', 'data', 'gpu_ids', 'seed', 'device']
        assert (len(config), config.pop('seed'), config.pop('seed', 1)) == (5, 3, 1)
        del config.device, config['gpu_ids']
        assert dict(**config) == {'model': {'type': 'A', 'pretrained': None}, 'data': config.data}
        config.update(model=dict(type='C'))
        assert config.model == {'type': 'C', 'pretrained': None}
        assert config.setdefault('log', {'interval': 5}).interval == 5
        assert config._cfg_dict.to_dict() == config.to_dict()
        assert repr(Config({'a': 1})) == "Config (path: None): {'a': 1}"

    def test_missing_entries(self) -> None:
        config = Config(dict(work_dir='x'))
        with pytest.raises(AttributeError, match="'Config' object has no attribute 'workdir'. Did you mean 'work_dir'"):
            config.workdir  # noqa: B018 - it raises
        with pytest.raises(KeyError):
            config['nothing']
        with pytest.raises(KeyError, match='filename: reserved'):
            Config(dict(filename='x'))
        with pytest.raises(TypeError, match='not a list'):
            Config([1])  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        'through', [copy.deepcopy, copy.copy, Config.copy, lambda c: pickle.loads(pickle.dumps(c))]
    )
    def test_copies(self, through: Any, file: Path) -> None:
        config = Config.fromfile(file)
        other = through(config)
        assert (other.to_dict(), other.filename, other.text) == (config.to_dict(), config.filename, config.text)
        other.rate = 1
        assert config.rate == 0.1

    def test_is_written_and_read(self, file: Path, tmp_path: Path) -> None:
        config = Config.fromfile(file)
        config.model.head.pop('_delete_')
        for name in ('dumped.py', 'dumped.json', 'dumped.yaml'):
            assert config.dump(tmp_path / name) is None
            read = Config.fromfile(tmp_path / name).to_dict()
            read['sizes'] = tuple(read['sizes'])
            assert read == config.to_dict()
        assert config.dump() == config.pretty_text == (tmp_path / 'dumped.py').read_text()
        assert Config.fromfile(tmp_path / 'dumped.json').dump() == (tmp_path / 'dumped.json').read_text()
        with pytest.raises(OSError, match=r"'\.txt' is not"):
            config.dump(tmp_path / 'dumped.txt')


class TestMerge:
    @pytest.mark.parametrize(
        ('base', 'options', 'expected'),
        [
            (
                dict(m=dict(b=dict(type='R', d=5))),
                {'m.b.d': 50, 'm.b.c': True},
                dict(m=dict(b=dict(type='R', d=50, c=True))),
            ),
            (
                dict(p=[dict(t='A', n=1), dict(t='B')]),
                dict(p={'0': dict(t='S')}),
                dict(p=[dict(t='S', n=1), dict(t='B')]),
            ),
            (dict(p=[dict(t='A'), dict(t='B')]), {'p.1.t': 'Z', 'p.1.n': 3}, dict(p=[dict(t='A'), dict(t='Z', n=3)])),
            (dict(a=1), {'b.c.d': 2}, dict(a=1, b=dict(c=dict(d=2)))),
            (dict(a=dict(b=1, c=2)), {'a': dict(_delete_=True, d=3)}, dict(a=dict(d=3))),
            (dict(a=dict(b=1, c=2)), {'a': dict(d=3)}, dict(a=dict(b=1, c=2, d=3))),
            (dict(a=dict(b=1, c=2)), {'a': [1, 2]}, dict(a=[1, 2])),
            (dict(a=[dict(b=[dict(c=1)])]), {'a.0.b.0.c': 7}, dict(a=[dict(b=[dict(c=7)])])),
            (
                dict(a=dict(k={'.norm': dict(x=1)})),
                {'a.k': {'.norm': dict(y=2)}},
                dict(a=dict(k={'.norm': dict(x=1, y=2)})),
            ),
        ],
    )
    def test_as_mmcv_and_mmengine(self, base: Any, options: Any, expected: Any) -> None:
        config = Config(base)
        config.merge_from_dict(options)
        assert config.to_dict() == expected

    def test_items_that_are_no_dicts(self) -> None:
        """The old packages failed here."""
        config = Config(dict(a=[1, 2, 3], b=({'c': 1},), d=None))
        config.merge_from_dict({'a.1': 7, 'b.0.c': 2, 'd.e': 3})
        assert config.to_dict() == dict(a=[1, 7, 3], b=[{'c': 2}], d={'e': 3})

    @pytest.mark.parametrize(
        ('options', 'old', 'words'),
        [
            ({'p.7.t': 1}, KeyError, 'index 7 is out of range'),
            ({'p.x.t': 1}, TypeError, 'name its items by number'),
            ({'a.b': 1}, TypeError, 'a is 1, which has no parts'),
            ({'a': {'b': 1}}, TypeError, 'a dict cannot join a int'),
        ],
    )
    def test_mistakes_change_nothing(self, options: Any, old: Any, words: str) -> None:
        config = Config(dict(a=1, p=[dict(t=0)]))
        with pytest.raises(ConfigError, match=words) as caught:
            config.merge_from_dict({'p.0.t': 5, **options})
        assert isinstance(caught.value, old)
        assert config.to_dict() == dict(a=1, p=[dict(t=0)])
        with pytest.raises(ConfigError):
            config.merge_from_dict({'p.0.t': 5}, allow_list_keys=False)

    def test_copies_keep_their_values(self) -> None:
        config = Config(dict(a=dict(b=1)))
        other = config.copy()
        other.merge_from_dict({'a.b': 2})
        assert config.a.b == 1


class TestDictAction:
    def parse(self, *words: str) -> Any:
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument('--cfg-options', nargs='+', action=DictAction)
        return parser.parse_args(words).cfg_options

    def test_values(self) -> None:
        words = ['a.b=1', 'c=[1,2]', 'd=[(a,1)]', 'e=x=y', 'f=1,2.5,true,None', 'g=()']
        assert self.parse('--cfg-options', *words) == {
            'a.b': 1,
            'c': [1, 2],
            'd': [('a', 1)],
            'e': 'x=y',
            'f': [1, 2.5, True, None],
            'g': (),
        }

    def test_a_second_one_adds(self) -> None:
        assert self.parse('--cfg-options', 'a=1', 'b=2', '--cfg-options', 'b=3') == {'a': 1, 'b': 3}

    def test_mistakes(self) -> None:
        with pytest.raises(argparse.ArgumentError, match='is not KEY=VALUE'):
            self.parse('--cfg-options', 'a')
        with pytest.raises(argparse.ArgumentError, match='do not match'):
            self.parse('--cfg-options', 'a=[1')


def test_read_base_is_for_config_files() -> None:
    with pytest.raises(ConfigError, match=r'Config\.fromfile'):
        read_base()
