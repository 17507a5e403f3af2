"""Decorators of precision, loggers and hubs under their old names."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.openmmlab import logs, precision


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.fp16_enabled = False

    @precision.auto_fp16(apply_to=('img',))
    def forward(self, img, other=None):
        return self.fc(img), img.dtype, None if other is None else other.dtype

    @precision.auto_fp16(out_fp32=True)
    def features(self, img):
        return {'out': [self.fc(img)]}

    @precision.force_fp32(apply_to=('score',))
    def loss(self, score, weight=None):
        return self.fc(score), weight.dtype, torch.is_autocast_enabled('cpu')


def test_nothing_happens_until_it_is_enabled():
    model, x = Model(), torch.ones(1, 2)
    assert model(x)[0].dtype == torch.float32
    assert model.loss(x, weight=x.half())[1:] == (torch.float16, False)


def test_methods_compute_in_half_precision():
    model, x = Model(), torch.ones(1, 2)
    precision.wrap_fp16_model(model)
    assert model.fp16_enabled
    out, first, second = model(x, other=x)
    assert (out.dtype, first, second) == (torch.float16, torch.float16, torch.float32)
    assert model.features(x)['out'][0].dtype == torch.float32
    out, weight, is_autocast = model.loss(x.half(), weight=x.half())
    assert (out.dtype, weight, is_autocast) == (torch.float32, torch.float16, False)
    with precision.autocast('cpu', torch.bfloat16):
        assert model.loss(x.half(), x.half())[2] is False


def test_only_methods_of_modules_are_decorated():
    class Other:
        @precision.force_fp32()
        def method(self):
            return None

    with pytest.raises(TypeError, match='method of Module'):
        Other().method()


def test_named_tuples_and_integers_stay_what_they_are():
    model = Model()
    model.fp16_enabled = True
    assert model(torch.ones(1, 2), other=torch.ones(1, dtype=torch.long))[2] == torch.long


# ---------------------------------------------------------------------- logs


@pytest.fixture
def _fresh():
    logger = logging.getLogger('intarsia')
    before, level = list(logger.handlers), logger.level
    logger.handlers.clear()
    yield
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:] = before
    logger.setLevel(level)
    logger.propagate = True


@pytest.mark.usefixtures('_fresh')
def test_the_root_logger_is_that_of_runs(tmp_path):
    logger = logs.get_root_logger(log_file=str(tmp_path / 'x.log'), log_level='INFO')
    assert logger is logging.getLogger('intarsia')
    assert logs.get_root_logger('INFO') is logger
    assert logs.MMLogger.get_current_instance() is logger
    logger.info('hello')
    logs.print_log('there', logger=logger)
    logs.print_log('again', logger='current')
    logs.print_log('never', logger='silent')
    text = (tmp_path / 'x.log').read_text()
    assert [line.split(' - ')[-1] for line in text.splitlines()] == ['hello', 'there', 'again']


def test_loggers_by_name(tmp_path, capsys):
    logger = logs.get_logger('tests.old.logger', log_file=tmp_path / 'y.log', log_level=logging.WARNING)
    assert logs.get_logger('tests.old.logger') is logger
    assert logger.level == logging.WARNING
    assert logs.get_logger('tests.old.logger.part').handlers == []
    logs.print_log('printed')
    assert capsys.readouterr().out == 'printed\n'
    with pytest.raises(TypeError, match='logger is'):
        logs.print_log('x', logger=3)


def test_a_hub_keeps_values_by_name():
    hub = logs.MessageHub.get_instance('tests')
    assert logs.MessageHub.get_current_instance() is hub
    hub.update_info('epoch', 3)
    hub.update_scalars({'loss': 2.0, 'acc': dict(value=torch.tensor(1.0), count=3)})
    hub.update_scalar('loss', 4.0)
    assert (hub.get_info('epoch'), hub.get_info('x', 0)) == (3, 0)
    history = hub.get_scalar('loss')
    assert (history.current(), history.mean(), history.mean(1), history.max(), history.min()) == (4, 3, 4, 4, 2)
    assert hub.get_scalar('acc').data[1].tolist() == [3]
    with pytest.raises(KeyError, match='none'):
        hub.get_scalar('none')
