"""How hooks are bound, seated, saved, and how the sections of a config become hooks."""

from __future__ import annotations

import pytest

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.checkpoint import CheckpointHook
from intarsia.engine.hooks.evaluation import EvalHook, infer_rule
from intarsia.engine.hooks.optimizer import OptimizerHook
from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner
from tests.unit.test_runner import batches, make


class Counter(Hook):
    """Remembers what it has counted."""

    def __init__(self):
        self.count = 0

    def after_train_iter(self, runner):
        self.count += 1

    def state_dict(self):
        return {'count': self.count}

    def load_state_dict(self, state):
        self.count = state['count']


def test_hooks_of_the_1x_form_see_evaluations_and_checkpoints(tmp_path):
    seen = []

    class OneX:
        priority = 'LOW'

        def before_train(self, runner):
            seen.append('before_train')

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append(('iter', batch_idx, len(data_batch), sorted(outputs)))

        def before_val(self, runner):
            seen.append('before_val')

        def after_val_epoch(self, runner, metrics=None):
            seen.append(('metrics', metrics))

        def before_save_checkpoint(self, runner, checkpoint):
            checkpoint['mine'] = 7

        def after_test_epoch(self, runner, metrics=None):
            raise AssertionError('no test happens in a training')

    runner = make(EpochBasedRunner, tmp_path, max_epochs=1)
    runner.register_hook(OptimizerHook(), 40)
    runner.register_hook(CheckpointHook(interval=1))
    runner.register_hook(Evaluation(), 70)
    runner.register_hook(OneX())
    runner.run([batches(1), batches(1)], [('train', 1), ('val', 1)])
    assert seen == ['before_train', ('iter', 0, 8, ['log_vars', 'loss', 'num_samples']), 'before_val',
                    ('metrics', {'score': 1.0})]  # fmt: skip
    import torch

    assert torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['mine'] == 7


class _Loader(list):
    world_size = 1


class _Evaluator:
    def __init__(self, scores):
        self.scores = iter(scores)

    def reset(self):
        pass

    def compute(self):
        return next(self.scores)

    def table(self):
        return ''


class Evaluation(EvalHook):
    def __init__(self, *scores, **kwargs):
        scores = [s if isinstance(s, dict) else {'score': s} for s in scores or [1.0]]
        super().__init__(_Loader(), _Evaluator(scores), **kwargs)


def test_several_best_checkpoints_are_kept_and_remembered(tmp_path):
    def run(hook, epochs, resume=None):
        runner = make(EpochBasedRunner, tmp_path, max_epochs=epochs)
        runner.register_hook(OptimizerHook(), 40)
        runner.register_hook(CheckpointHook(interval=1))
        runner.register_hook(hook, 70)
        if resume:
            runner.resume(tmp_path / resume)
        runner.run([batches(1)])
        return hook

    scores = [dict(acc=0.5, loss=1.0), dict(acc=0.4, loss=0.5), dict(acc=0.6, loss=0.7)]
    options = dict(save_best=['acc', 'loss'])
    run(Evaluation(*scores[:2], **options), 2)
    assert {f.name for f in tmp_path.glob('best_*')} == {'best_acc_epoch_1.pth', 'best_loss_epoch_2.pth'}
    (tmp_path / 'epoch_2.pth').rename(tmp_path / 'kept.pth')
    hook = run(Evaluation(*scores[1:], **options), 3, resume='kept.pth')
    assert hook.best == {'acc': 0.6, 'loss': 0.5}, 'the evaluation after epoch 2 was made up for, then came epoch 3'
    assert {f.name for f in tmp_path.glob('best_*')} == {'best_acc_epoch_3.pth', 'best_loss_epoch_2.pth'}


@pytest.mark.parametrize(('start', 'interval', 'evaluated'), [(None, 2, [2, 4]), (2, 2, [2, 4]), (3, 1, [3, 4, 5]),
                                                            (0, 3, [0, 3])])  # fmt: skip
def test_when_an_evaluation_is_due(start, interval, evaluated):
    seen = []

    class Noted(Evaluation):
        def _evaluate(self, runner):
            seen.append(runner.progress.epoch)
            self.evaluated_iter = runner.progress.iter

    runner = make(EpochBasedRunner, max_epochs=5)
    runner.register_hook(Noted(start=start, interval=interval))
    runner.run([batches(1)])
    assert seen == evaluated


@pytest.mark.parametrize(('interval', 'changes', 'evaluated'), [
    (5, [(10, 1)], [5, 9, 10, 11, 12]), (3, [(6, 2), (10, 1)], [3, 6, 8, 9, 10, 11, 12]),
])  # fmt: skip
def test_intervals_that_change_as_mmengine_changes_them(interval, changes, evaluated):
    hook = Evaluation(interval=interval, dynamic_intervals=changes)
    assert [epoch for epoch in range(1, 13) if hook._is_due(epoch)] == evaluated


def test_rules_are_told_from_names():
    assert infer_rule('accuracy_top-1') == infer_rule('mIoU') == infer_rule('coco/AP') == 'greater'
    assert infer_rule('loss_cls') == infer_rule('NME') == infer_rule('EPE') == 'less'
    assert infer_rule('speed', greater_keys=['speed']) == 'greater'
    with pytest.raises(ValueError, match='rule='):
        infer_rule('speed')


def test_a_hook_that_fails_says_where_it_sat():
    class Failing(Hook):
        def after_train_iter(self, runner):
            raise RuntimeError('no')

    runner = make(max_epochs=1)
    runner.register_hook(OptimizerHook(), 40)
    runner.register_hook(Failing())
    with pytest.raises(RuntimeError) as caught:
        runner.run([batches()])
    assert caught.value.__notes__ == [
        'raised by Failing at after_train_iter, hook 2 of 2', 'at iteration 1, 1 of round 1 (train)',
    ]  # fmt: skip


def test_states_of_hooks_travel_in_checkpoints(tmp_path):
    runner = make(IterBasedRunner, tmp_path, max_iters=4)
    for hook in (OptimizerHook(), CheckpointHook(interval=3), Counter(), Counter()):
        runner.register_hook(hook)
    runner.run([batches()])
    again = make(IterBasedRunner, tmp_path, max_iters=4)
    counters = [Counter(), Counter()]
    for hook in (OptimizerHook(), *counters):
        again.register_hook(hook)
    again.resume(tmp_path / 'iter_3.pth')
    assert [c.count for c in counters] == [2, 2], 'written before the counters had counted the third'


def test_the_positional_form_of_registration():
    runner = make(max_epochs=1)
    runner.register_training_hooks(
        dict(policy='step', step=[20, 40]), dict(grad_clip=None), dict(interval=1),
        dict(interval=5, hooks=[dict(type='TextLoggerHook')]), None,
    )  # fmt: skip
    names = [type(hook).__name__ for hook in runner.hooks]
    assert names == ['StepLrUpdaterHook', 'OptimizerHook', 'CheckpointHook', 'IterTimerHook', 'TextLoggerHook']


def test_a_model_that_updates_itself_gets_no_update_hook():
    runner = make(max_epochs=1)
    runner.register_training_hooks(None, None, None, None)
    assert [type(hook).__name__ for hook in runner.hooks] == ['IterTimerHook']


def test_custom_hooks_by_node_and_as_objects():
    HOOKS.register_module(name='CounterOfTests', module=Counter, force=True)
    runner = make(max_epochs=1)
    runner.register_training_hooks(
        None, timer_config=None, custom_hooks_config=[dict(type='CounterOfTests', priority='VERY_LOW'), Counter()]
    )
    assert [seat for seat, _ in runner.hook_list._seats] == [50, 90]
