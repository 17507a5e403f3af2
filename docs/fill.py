"""Fills the generated parts of the guides: the loop, codes of problems, fields of a config, tables of components.

    make docs

A part stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``. A test requires that nothing would change.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import names
import tables

from intarsia.config import schema
from intarsia.config.check import CODES
from intarsia.engine import loop
from intarsia.engine.stage import Stage

DOCS = Path(__file__).resolve().parent


def stages() -> str:
    """The pseudo-code in the docstring of Stage."""
    text = inspect.getdoc(Stage) or ''
    code = text.split('::\n\n', 1)[1].split('\n\nAn iteration', 1)[0]
    return f'```text\n{textwrap.dedent(code)}\n```'


def loop_source() -> str:
    """The functions that train an epoch."""
    return f'```text\n{inspect.getsource(loop.train_epoch)}\n\n{inspect.getsource(loop.train_iter)}```'


def codes() -> str:
    """A table of the codes of problems."""
    rows = [f'| `{code}` | {meaning} |' for code, meaning in CODES.items()]
    return '\n'.join(['| code | meaning |', '|---|---|', *rows])


def fields() -> str:
    """Tables of every section's fields, from the docstrings below them."""
    tree = ast.parse(inspect.getsource(schema))
    names = {section.__name__: f'`{name}`: ' for name, section in schema.SECTIONS.items()}
    names['LoaderConfig'] = '`data` and `data.train_dataloader`, `val_dataloader`, `test_dataloader`: '
    parts = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            text = (ast.get_docstring(node) or '').split('\n')[0]
            prefix = names.get(node.name, '')
            heading = prefix + (text[0].lower() + text[1:] if prefix else text)
            parts.append('\n'.join([f'### {heading}', '', '| field | type | meaning |', '|---|---|---|', *_rows(node)]))
    return '\n\n'.join(reversed(parts))


def _rows(node: ast.ClassDef) -> list[str]:
    rows = []
    for item, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            kind = ast.unparse(item.annotation).replace('|', '\\|')
            meaning = ' '.join(str(after.value.value).split()).replace('|', '\\|')
            rows.append(f'| `{ast.unparse(item.target)}` | `{kind}` | {meaning} |')
    return rows


PARTS: dict[str, Callable[[], str]] = {
    'stages': stages, 'loop': loop_source, 'codes': codes, 'fields': fields, **tables.PARTS, **names.PARTS,
}  # fmt: skip


def filled(text: str) -> str:
    """The text of a guide with all its parts generated anew."""
    for name, make in PARTS.items():
        pattern = re.compile(rf'(<!-- {name} -->\n).*?(<!-- /{name} -->)', re.S)
        if pattern.search(text):
            content = make()
            text = pattern.sub(lambda m, content=content: f'{m[1]}\n{content}\n\n{m[2]}', text)  # type: ignore[misc]
    return text


def main() -> None:
    """Rewrite the guides and the reference."""
    for guide in sorted([*DOCS.glob('guides/**/*.md'), *DOCS.glob('reference/*.md')]):
        guide.write_text(filled(guide.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main()
