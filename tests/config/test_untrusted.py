"""A config of a stranger is read as data: it may compute, but neither import nor call."""

from __future__ import annotations

import pytest

from intarsia.cli.main import main
from intarsia.config.file import load_config
from intarsia.core.errors import ConfigError

HARMLESS = """
_base_ = ['b.py']
n = 3
lr = 0.1 * n / 2 ** 2
names = [f'stage{i}' for i in range(n) if i]
table = {k: len(k) for k in names}
pipeline = [*_base_.pipeline, dict(type='B', size=(n, -n))]
for step in pipeline:
    if step['type'] == 'B':
        step['prob'] = 0.5 if n > 2 else None
_base_.model.depth = 50
del n
"""


def test_data_is_read_as_ever(tmp_path):
    (tmp_path / 'b.py').write_text("pipeline = [dict(type='A')]\nmodel = dict(type='M')\n")
    (tmp_path / 'a.py').write_text(HARMLESS)
    read = load_config(tmp_path / 'a.py', trusted=False)
    assert read.values == load_config(tmp_path / 'a.py').values
    assert read.values['pipeline'] == [{'type': 'A'}, {'type': 'B', 'size': (3, -3), 'prob': 0.5}]
    assert read.values['model'] == {'type': 'M', 'depth': 50}


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('import os', 'it imports os'),
        ('from os import system', 'it imports system'),
        ("__import__('os').system('touch {}')", r'the hidden name __import__|it calls'),
        ("open('{}', 'w')", r'it calls open\(\)'),
        ("exec('1')", r'it calls exec\(\)'),
        ('x = ().__class__.__base__.__subclasses__()', 'the hidden attribute __class__'),
        ("x = '{0.__class__}'.format(1)", r'it calls \.format\(\)'),
        ('x = lambda: 1', 'a Lambda stands here'),
        ('def f(): pass', 'a FunctionDef stands here'),
        ('class A: pass', 'a ClassDef stands here'),
        ('x = [y for y in (1,)][0](2)', 'it calls the result of an expression'),
        ('while True: pass', 'a While stands here'),
        ('x = 9 ** 9 ** 9', 'a power of a number nobody knows'),
        ('dict = list\nx = dict.mro()', r'it calls \.mro\(\)'),
    ],
)
def test_code_is_refused_with_its_line(tmp_path, line, message):
    target = tmp_path / 'touched'
    (tmp_path / 'a.py').write_text('x = 1\n' + line.replace('{}', str(target)) + '\n')
    with pytest.raises(ConfigError, match=rf'a\.py:[23]: ({message})'):
        load_config(tmp_path / 'a.py', trusted=False)
    assert not target.exists()


def test_code_in_a_base_or_in_its_name_is_refused(tmp_path):
    (tmp_path / 'b.py').write_text("x = open('y')\n")
    (tmp_path / 'a.py').write_text("_base_ = 'b.py'\n")
    with pytest.raises(ConfigError, match=r'b\.py:1: it calls open'):
        load_config(tmp_path / 'a.py', trusted=False)
    (tmp_path / 'a.py').write_text("_base_ = open('b.py').read()\n")
    with pytest.raises(ConfigError, match=r'a\.py:1: it calls'):
        load_config(tmp_path / 'a.py', trusted=False)


def test_names_of_the_lazy_style_are_never_called(tmp_path):
    (tmp_path / 'a.py').write_text('import evil\nfrom evil import x\na = dict(type=x)\nb = evil.copy()\n')
    with pytest.raises(ConfigError, match=r'a\.py:4: PermissionError: evil\.copy is called'):
        load_config(tmp_path / 'a.py', trusted=False)


def test_the_command_line_refuses_custom_imports_too(tmp_path, capsys):
    (tmp_path / 'a.py').write_text("custom_imports = dict(imports=['mine'])\nmodel = dict(type='ImageClassifier')\n")
    assert main(['config', 'check', str(tmp_path / 'a.py'), '--untrusted']) == 2
    assert 'custom_imports: it imports modules' in capsys.readouterr().err
