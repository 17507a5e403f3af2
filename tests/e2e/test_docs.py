"""Every code block and command in the README and the guides is run, in the order it stands there."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.e2e import commands

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'^```(\w+)\n(.*?)^```', re.S | re.M)
TRANSLATED = ['optimizers', 'schedules', 'hooks', 'segmentation', 'pose', 'action']
GUIDES = ['custom_models', 'configs', 'mistakes', 'running', 'scaling', 'checkpoints', *TRANSLATED]
READ_AT_THE_ROOT = {'docs/guides/segmentation.md', 'docs/guides/pose.md', 'docs/guides/action.md'}
SHOWING_MISTAKES = {'README.md', 'docs/guides/mistakes.md'}
MAKE_TARGETS = {'quickstart', 'test', '.venv', 'format'}


def run(command, folder):
    words = shlex.split(command, comments=True)
    if words[0] == 'make':
        makefile = (ROOT / 'Makefile').read_text()
        assert words[1] in MAKE_TARGETS
        assert re.search(rf'^{re.escape(words[1])}:', makefile, re.M)
        return ''
    assert words[0] in ('intarsia', 'python')
    return commands.run(words, folder)


def check_console(block, folder):
    """``$ command`` and what it prints, where ``...`` stands for anything; perhaps several of them."""
    for part in re.split(r'^\$ ', block, flags=re.M)[1:]:
        command, _, expected = part.partition('\n')
        output = run(command, folder)[0].replace('\t', ' ')
        for line in expected.strip().splitlines():
            pattern = '.*'.join(re.escape(piece.strip()) for piece in line.split('...'))
            assert re.search(pattern, output), f'{line!r} is not in:\n{output}'


@pytest.mark.parametrize('document', ['README.md', *(f'docs/guides/{name}.md' for name in GUIDES)])
def test_code_blocks(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if document in READ_AT_THE_ROOT:
        for name in ('configs', 'data'):
            (tmp_path / name).symlink_to(ROOT / name)
    namespace: dict = {}
    text = (ROOT / document).read_text(encoding='utf-8')
    for language, block in BLOCK.findall(text):
        first = block.partition('\n')[0]
        if language == 'python' and re.fullmatch(r'# [\w/]+\.py', first):
            file = tmp_path / first[2:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)
            is_run = f'train {first[2:]}' in text or document in SHOWING_MISTAKES
            if '_base_' in block and not is_run:
                output, code = run(f'intarsia config check {file}', tmp_path)
                assert code == 0, output
        elif language == 'python' and '_base_' not in block:
            exec(compile(block, document, 'exec'), namespace)
        elif language == 'console':
            check_console(block, tmp_path)
        elif language == 'bash':
            for command in block.strip().splitlines():
                result = run(shorten(command), tmp_path)
                assert not result or result[1] == 0, f'{command}\n{result[0]}'


def shorten(command):
    """A whole training of the quick start is run by its own test; here two iterations have to do."""
    if 'train intarsia::' not in command:
        return command
    return (
        command
        + ' --no-validate --cfg-options runner.type=IterBasedRunner runner.max_iters=2 runner.max_epochs=None custom_hooks=[]'
    )


@pytest.mark.parametrize('name', TRANSLATED)
def test_a_translation_has_the_same_blocks_and_sections(name):
    ours, theirs = (
        (ROOT / 'docs' / 'guides' / folder / f'{name}.md').read_text(encoding='utf-8') for folder in ('', 'zh')
    )
    assert BLOCK.findall(theirs) == BLOCK.findall(ours)
    heading = re.compile(r'^(#+) ', re.M)
    assert heading.findall(BLOCK.sub('', theirs)) == heading.findall(BLOCK.sub('', ours))


def test_generated_parts_are_up_to_date():
    sys.path.insert(0, str(ROOT / 'docs'))
    import fill

    for guide in sorted((ROOT / 'docs' / 'guides').rglob('*.md')):
        text = guide.read_text(encoding='utf-8')
        assert fill.filled(text) == text, f'{guide.name}: run make docs'


def test_the_example_gives_identical_weights():
    sys.path.insert(0, str(ROOT / 'examples'))
    import plain_loop

    assert plain_loop.main()


def test_links_lead_somewhere():
    for document in [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').rglob('*.md')]:
        for target in re.findall(r'\]\(([^)#:]+)\)', document.read_text(encoding='utf-8')):
            assert (document.parent / target).exists(), f'{document.name}: {target}'
