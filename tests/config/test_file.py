from __future__ import annotations

import pytest

from intarsia.config.dump import dump_json, dump_python
from intarsia.config.file import load_config
from intarsia.config.override import apply_options, parse_value
from intarsia.core.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding='utf-8')
        return file

    return write


def test_inheritance_merges_dicts_and_replaces_the_rest(write):
    write('base/a.py', "model = dict(type='M', depth=18, stages=[1, 2])\nlr = 0.1")
    write('base/b.py', 'data = dict(batch=2)')
    child = write('c.py', "_base_ = ['base/a.py', 'base/b.py']\nmodel = dict(depth=50, stages=[3])\ndata = dict(n=1)")
    assert load_config(child).values == dict(
        model=dict(type='M', depth=50, stages=[3]), lr=0.1, data=dict(batch=2, n=1)
    )


def test_delete_replaces_and_never_remains(write):
    write('a.py', "opt = dict(type='SGD', lr=1, momentum=0.9)")
    child = write('c.py', "_base_ = 'a.py'\nopt = dict(_delete_=True, type='Adam')\nnew = dict(_delete_=True, x=1)\n"
                          'deep = dict(inner=dict(_delete_=True, y=2))')  # fmt: skip
    assert load_config(child).values == dict(opt=dict(type='Adam'), new=dict(x=1), deep=dict(inner=dict(y=2)))


def test_a_dict_over_a_number_is_refused_and_over_none_is_not(write):
    write('a.py', 'x = 1\nclip = None')
    with pytest.raises(ConfigError, match=r'c\.py:2: x: a dict cannot inherit from a int .*_delete_=True'):
        load_config(write('c.py', "_base_ = 'a.py'\nx = dict(y=1)"))
    assert load_config(write('d.py', "_base_ = 'a.py'\nclip = dict(y=1)")).values['clip'] == dict(y=1)


def test_bases_may_not_repeat_a_name(write):
    write('a.py', 'x = 1')
    write('b.py', 'x = 2')
    with pytest.raises(ConfigError, match='both define x'):
        load_config(write('c.py', "_base_ = ['a.py', 'b.py']"))


def test_a_file_cannot_inherit_from_itself(write):
    write('a.py', "_base_ = 'b.py'")
    with pytest.raises(ConfigError, match='inherits from itself'):
        load_config(write('b.py', "_base_ = 'a.py'"))


def test_base_references(write):
    write('a.py', "info = dict(names=['x', 'y'], n=3)\nroot = 'data'")
    child = write('c.py', "_base_ = 'a.py'\ntrain = dict(info={{_base_.info}}, n={{ _base_.info.n }})\n"
                          "path = '{{_base_.root}}/train'\nwhole = '{{_base_.info.names}}'\ntwice = _base_.info.n * 2")  # fmt: skip
    values = load_config(child).values
    assert values['train'] == dict(info=dict(names=['x', 'y'], n=3), n=3)
    assert (values['path'], values['whole'], values['twice']) == ('data/train', ['x', 'y'], 6)
    with pytest.raises(ConfigError, match="no base has 'info.m'"):
        load_config(write('d.yaml', '_base_: a.py\nx: "{{_base_.info.m}}"'))


def test_file_and_environment_variables(write, monkeypatch, tmp_path):
    monkeypatch.setenv('INTARSIA_TEST', '7')
    file = write('c.py', "name = '{{ fileBasenameNoExtension }}{{fileExtname}}'\nfolder = '{{ fileDirname }}'\n"
                         "a = '{{$INTARSIA_TEST:1}}'\nb = {{'$INTARSIA_TEST:1'}}\nc = '{{$INTARSIA_UNSET:x}}'")  # fmt: skip
    assert load_config(file).values == dict(name='c.py', folder=tmp_path.as_posix(), a='7', b=7, c='x')
    with pytest.raises(ConfigError, match=r'e\.py:2: the environment variable INTARSIA_UNSET is not set'):
        load_config(write('e.py', "\nx = '{{$INTARSIA_UNSET}}'"))
    with pytest.raises(ConfigError, match="Did you mean 'fileDirname'"):
        load_config(write('f.py', "x = '{{ fileDirnam }}'"))


def test_yaml_and_json(write):
    write('a.py', "model = dict(type='M', depth=18)")
    yaml_file = write('c.yaml', '_base_: a.py\nmodel:\n  depth: 50\nflow: {{_base_.model.type}}\n')
    config = load_config(yaml_file)
    assert config.values == dict(model=dict(type='M', depth=50), flow='M')
    assert config.origins.find('model.depth').line == 3
    json_file = write('c.json', '{\n "x": [1,\n  2]\n}')
    assert load_config(json_file).origins.find('x.1').line == 3
    with pytest.raises(ConfigError, match=r'd\.json:2: syntax error'):
        load_config(write('d.json', '{\n"x": }'))


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.py', 'x = (1', r'a\.py:1: syntax error'),
        ('a.py', 'x = 1\ny = zz', r"a\.py:2: NameError: name 'zz'"),
        ('a.txt', 'x = 1', 'is not .py, .json, .yaml'),
        ('a.py', 'text = 1', "'text' is reserved"),
        ('a.yaml', '- 1', 'must hold a mapping'),
        ('a.py', "_base_ = 'gone.py'", r'gone\.py: the config file does not exist \(a base of'),
    ],
)
def test_broken_files_say_where(write, name, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(name, text))


def test_origins_follow_variables_and_bases(write):
    base = write(
        'a.py',
        "pipeline = [\n    dict(type='Load'),\n    dict(type='Crop', size=4),\n]\ndata = dict(train=dict(pipeline=pipeline))",
    )
    child = write(
        'c.py', "_base_ = 'a.py'\n\ndata = dict(batch=3)\nmodel = dict(\n    depth=18,\n)\nmodel['width'] = 2"
    )
    origins = load_config(child).origins
    assert origins.find('data.train.pipeline.1.size') == (str(base), 3)
    assert origins.find('data.batch') == (str(child), 3)
    assert origins.find('model.depth') == (str(child), 5)
    assert origins.find('model.width') == (str(child), 7)


def test_dumps_round_trip(write):
    text = ("a = dict(x=1, y=[1.5, (2, 3), (4,)], z={1: 'one', 'two-2': None}, t=(), e={})\n"
            "b = 'it\\'s'\nc = [dict(type='L' * 60, k='v' * 60)] * 2\nd = float('inf')\n")  # fmt: skip
    values = load_config(write('a.py', text)).values
    assert load_config(write('b.py', dump_python(values))).values == values
    assert '__tuple__' in dump_json(values)


@pytest.mark.parametrize(
    ('text', 'value'),
    [('1', 1), ('1e-3', 0.001), ('True', True), ('None', None), ('a b', 'a b'), ('1,2', [1, 2]), ('[1,a]', [1, 'a']),
     ('(1,2)', (1, 2)), ('(1,)', (1,)), ('[(1,2),(a,b)]', [(1, 2), ('a', 'b')]), ('[]', []), ('"1,2"', '1,2'),
     ("'None'", 'None'), ('a=b', 'a=b'), ('[[1],[2]]', [[1], [2]]), ('', ''), ('1,', [1])],
)  # fmt: skip
def test_option_values(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_options_change_dicts_and_list_items(write):
    config = load_config(write('a.py', "data = dict(pipeline=[dict(type='A'), dict(type='B', size=1)], step=(1, 2))"))
    apply_options(
        config,
        ['data.pipeline.1.size=9', 'data.step.0=5', 'new.deep.key=[1,2]', 'data.pipeline.-1.type=C', 'x=1', 'x=2'],
    )
    assert config.values['data'] == dict(pipeline=[dict(type='A'), dict(type='C', size=9)], step=[5, 2])
    assert config.values['new'] == dict(deep=dict(key=[1, 2]))
    assert config.values['x'] == 2
    assert config.origins.find('data.pipeline.1.size').file == '--cfg-options'


@pytest.mark.parametrize(
    ('option', 'message'),
    [('novalue', 'is not KEY=VALUE'), ('p.7.x=1', 'index 7 is out of range: p has 1 items'), ('p.a=1', 'name its items by number'),
     ('n.x=1', 'has no parts'), ('y=(1', 'do not match'), ('y="a', 'do not match')],
)  # fmt: skip
def test_bad_options_are_refused(write, option, message):
    config = load_config(write('a.py', 'p = [dict(x=1)]\nn = 3'))
    with pytest.raises(ConfigError, match=message):
        apply_options(config, [option])


def test_deprecation_is_announced_and_removed(write):
    file = write('a.py', "_deprecation_ = dict(expected='b.py', reference='u')\nx = 1")
    with pytest.warns(DeprecationWarning, match=r'use b\.py'):
        assert load_config(file).values == dict(x=1)


def test_reading_imports_no_torch(write):
    import subprocess
    import sys

    file = write('a.py', 'x = 1')
    code = f'import sys; from intarsia.config.file import load_config; load_config({str(file)!r}); assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)
