"""Files that can be read in one sitting, functions that fit a screen."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / 'src' / 'intarsia'
MAX_FILE, MAX_FUNCTION = 400, 60


def files():
    return [f for f in SOURCE.rglob('*.py') if 'recipes' not in f.parts]


def test_files_are_short():
    assert {str(f): n for f in files() if (n := f.read_text().count('\n')) > MAX_FILE} == {}


def test_functions_are_short():
    long = {}
    for file in files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = node.end_lineno - node.lineno + 1
                if size > MAX_FUNCTION:
                    long[f'{file}:{node.name}'] = size
    assert long == {}


def test_no_file_has_a_name_that_says_nothing():
    vague = {'utils', 'util', 'misc', 'common', 'helpers', 'tools'}
    assert [f for f in files() if f.stem in vague] == []


def test_kwargs_are_only_taken_to_be_forwarded():
    """Except by what has the signatures of the old packages."""
    for file in (file for file in files() if 'openmmlab' not in file.parts):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == '__init__' and node.args.kwarg:
                name = node.args.kwarg.arg
                forwarded = any(
                    k.arg is None and name in {n.id for n in ast.walk(k.value) if isinstance(n, ast.Name)}
                    for call in ast.walk(node) if isinstance(call, ast.Call) for k in call.keywords
                )  # fmt: skip
                assert forwarded, f'{file}:{node.lineno}'
