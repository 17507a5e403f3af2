"""Bases that lie in packages, and what a file changes in its bases."""

from __future__ import annotations

import pytest

from intarsia.config.file import load_config
from intarsia.core.errors import ConfigError

BASE = "norm_cfg = dict(type='BN')\nmodel = dict(type='A', norm=dict(type='BN'))\nother = dict(x=[dict(type='B')])\n"


@pytest.mark.parametrize('folder', ['site/mmdet/.mim/configs', 'site/mmdet/configs'])
def test_a_base_of_a_package_that_lies_beside(tmp_path, folder):
    (tmp_path / folder / '_base_').mkdir(parents=True)
    (tmp_path / folder / '_base_' / 'b.py').write_text(BASE)
    mine = tmp_path / 'site' / 'mmpose' / '.mim' / 'configs' / 'a.py'
    mine.parent.mkdir(parents=True)
    mine.write_text("_base_ = 'mmdet::_base_/b.py'\nmodel = dict(depth=3)\n")
    assert load_config(mine).values == {  # the outermost dict with a type says whose type it is, as in mmengine
        'norm_cfg': {'type': 'BN', '_scope_': 'mmdet'},
        'model': {'type': 'A', 'norm': {'type': 'BN'}, '_scope_': 'mmdet', 'depth': 3},
        'other': {'x': [{'type': 'B', '_scope_': 'mmdet'}]},
    }


def test_a_package_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    (tmp_path / 'a.py').write_text("_base_ = 'nopackage::b.py'\n")
    with pytest.raises(ConfigError, match=r'no config file b\.py of nopackage; looked in no folder'):
        load_config(tmp_path / 'a.py')


def test_a_file_may_change_its_base(tmp_path):
    (tmp_path / 'b.py').write_text("pipe = [dict(type='A', x=1)]\ndata = dict(pipeline=pipe)\n")
    (tmp_path / 'a.py').write_text(
        "_base_ = 'b.py'\nmine = [dict(type='C', x=2)]\n_base_.data.pipeline = mine\nmine[0]['x'] = 3\n"
    )
    values = load_config(tmp_path / 'a.py').values
    assert values['data'] == {'pipeline': [{'type': 'C', 'x': 2}]}  # a copy, as in mmengine
    assert values['mine'] == [{'type': 'C', 'x': 3}]


def test_a_delete_with_nothing_to_delete_stays_in_the_raw_values_only(tmp_path):
    (tmp_path / 'b.py').write_text('a = dict(x=1)\n')
    (tmp_path / 'a.py').write_text("_base_ = 'b.py'\na = dict(_delete_=True, y=2)\nb = dict(_delete_=True, z=3)\n")
    assert load_config(tmp_path / 'a.py').values == {'a': {'y': 2}, 'b': {'z': 3}}
    assert load_config(tmp_path / 'a.py', raw=True).values == {'a': {'y': 2}, 'b': {'_delete_': True, 'z': 3}}
