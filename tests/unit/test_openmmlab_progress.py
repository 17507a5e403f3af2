"""Bars of progress: texts recorded from MMCV 1.7.2."""

from __future__ import annotations

import io
import os
import time

import pytest

from intarsia.openmmlab import progress
from intarsia.openmmlab.progress import ProgressBar, Timer, TimerError


class _Clock:
    def since_start(self) -> float:
        return 7.4


@pytest.mark.parametrize(
    ('task_num', 'width', 'expected'),
    [
        (
            10,
            50,
            '[                                                  ] 0/10, elapsed: 0s, ETA:'
            '\r[>>>>>                                             ] 1/10, 0.1 task/s, elapsed: 7s, ETA:    67s'
            '\r[>>>>>>>>>>>>>>>>>>>>                              ] 4/10, 0.5 task/s, elapsed: 7s, ETA:    11s',
        ),
        (
            0,
            50,
            'completed: 0, elapsed: 0scompleted: 1, elapsed: 7s, 0.1 tasks/scompleted: 4, elapsed: 7s, 0.5 tasks/s',
        ),
    ],
)
def test_text(task_num: int, width: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '100')
    file = io.StringIO()
    bar = ProgressBar(task_num, width, file=file)
    bar.timer = _Clock()  # type: ignore[assignment]
    bar.update()
    bar.update(3)
    assert file.getvalue() == expected
    with pytest.raises(ValueError, match='at least one'):
        bar.update(0)


def test_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '20')
    file = io.StringIO()
    ProgressBar(2, file=file).update()
    assert '\r[> ] 1/2' in file.getvalue()


def test_tracks(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress.track_progress(lambda a, b: a * b, [1, 2, 3], b=2) == [2, 4, 6]
    assert '3/3' in capsys.readouterr().out
    assert list(progress.track_iter_progress((iter('ab'), 2), file=io.StringIO())) == ['a', 'b']
    assert progress.track_progress(len, ('aa', 'b'), file=io.StringIO()) == [2, 1]
    with pytest.raises(TypeError, match='collection'):
        progress.track_progress(len, iter('ab'))  # type: ignore[arg-type]


@pytest.mark.parametrize(('skip_first', 'shown'), [(False, '/4'), (True, '/2')])
def test_processes(skip_first: bool, shown: str) -> None:
    file = io.StringIO()
    found = progress.track_parallel_progress(abs, [-1, -2, 3, -4], 2, skip_first=skip_first, file=file)
    assert found == [1, 2, 3, 4]
    assert shown in file.getvalue()
    assert sorted(progress.track_parallel_progress(abs, [-1, 2], 1, os.getpid, keep_order=False, file=file)) == [1, 2]


def test_timer(capsys: pytest.CaptureFixture[str]) -> None:
    with Timer(print_tmpl='took {:.0f} s') as timer:
        assert timer.is_running
        time.sleep(0.01)
        assert timer.since_start() >= 0.01
        assert timer.since_last_check() < 0.01
    assert capsys.readouterr().out == 'took 0 s\n'
    with pytest.raises(TimerError, match='not running'):
        timer.since_start()
    with pytest.raises(TimerError):
        Timer(start=False).since_last_check()


def test_check_time() -> None:
    assert progress.check_time('test') == 0
    time.sleep(0.01)
    assert progress.check_time('test') >= 0.01
