"""Lamb, LARS and Adan against values of mmpretrain 1.2.0 and against the papers' formulas."""

from __future__ import annotations

import io

import pytest
import torch

from intarsia.core.registries import OPTIMIZERS

SHAPES = [(4, 3), (4,), (3, 2, 2), (5,)]
CASES = {
    'lamb': ('Lamb', dict()),
    'lamb_clipped': ('Lamb', dict(lr=0.02, bias_correction=False, grad_averaging=False, max_grad_norm=0.5, betas=(0.8, 0.95), eps=1e-4)),
    'lamb_adapt': ('Lamb', dict(lr=0.01, weight_decay=0.0, always_adapt=True, trust_clip=True)),
    'lars': ('LARS', dict(lr=0.5, momentum=0.9, weight_decay=1e-2)),
    'lars_nesterov': ('LARS', dict(lr=0.5, momentum=0.9, nesterov=True, weight_decay=1e-3, eta=0.02)),
    'lars_dampened': ('LARS', dict(lr=0.3, momentum=0.8, dampening=0.3, eps=1e-3)),
    'adan': ('Adan', dict(lr=0.01, weight_decay=0.1)),
    'adan_clipped': ('Adan', dict(lr=0.01, weight_decay=0.1, max_grad_norm=0.7)),
    'adan_no_prox': ('Adan', dict(lr=0.01, weight_decay=0.1, no_prox=True, foreach=False)),
}  # fmt: skip
# Sum and second element of each parameter after 20 steps.
EXPECTED = {
    'lamb': [[-0.06986521, 0.97471595], [0.13541723, 0.41732655], [0.8562044, -0.51434583], [-0.13221317, -0.98322719]],
    'lamb_clipped': [[-0.04361375, 0.70398123], [0.11740503, 0.26116971], [-0.00107711, -0.05408529], [-0.07155777, 0.10281776]],
    'lamb_adapt': [[-0.06863099, 0.83403676], [0.13630382, 0.33600838], [0.7314818, -0.40631357], [-0.08511241, -0.85746379]],
    'lars': [[-0.0668588, 0.94416416], [0.13369847, 0.40643969], [-0.27556133, -0.09199113], [-0.12648245, 0.41017451]],
    'lars_nesterov': [[-0.0266539, 0.30178447], [0.1229407, 0.126807], [-0.35315465, -0.08273694], [-0.00412502, 0.41467735]],
    'lars_dampened': [[-0.06893545, 0.97801049], [0.13456602, 0.42151723], [0.11487283, -0.14665775], [-0.04762593, -0.14996949]],
    'adan': [[-0.04934734, 0.80573683], [0.12640821, 0.32203565], [0.71594252, -0.42053088], [-0.10558591, -0.86070948]],
    'adan_clipped': [[-0.06255903, 0.79859902], [0.1379369, 0.32255757], [0.70694281, -0.42059207], [-0.0939267, -0.85530983]],
    'adan_no_prox': [[-0.04932708, 0.80555608], [0.12639599, 0.32193553], [0.71594252, -0.42053088], [-0.10558591, -0.86070948]],
}  # fmt: skip


def parameters(dtype=torch.float64):
    counts = [torch.arange(torch.Size(shape).numel(), dtype=torch.float64) for shape in SHAPES]
    values = [torch.sin(count * 1.7 + i).reshape(SHAPES[i]).to(dtype) for i, count in enumerate(counts)]
    return [torch.nn.Parameter(v) for v in values]


def build(name, params):
    kind, options = CASES[name]
    own = {'lars_exclude': True} if kind == 'LARS' else {}
    groups = [dict(params=params[:2]), dict(params=params[2:], weight_decay=0.0, **own)]
    return OPTIMIZERS.build(dict(type=kind, **options), params=groups)


def train(optimizer, params, steps):
    for step in steps:
        for i, p in enumerate(params):
            noise = torch.cos(torch.arange(p.numel(), dtype=p.dtype) * 2.3 + i + step * 0.9).reshape(p.shape)
            p.grad = None if i == 3 and step in (0, 7) else 0.5 * p.detach() + 0.3 * noise
        optimizer.step()


@pytest.mark.parametrize('name', CASES)
def test_twenty_steps_end_where_the_older_toolboxes_end(name):
    params = parameters()
    train(build(name, params), params, range(20))
    got = [[p.detach().sum().item(), p.detach().flatten()[1].item()] for p in params]
    torch.testing.assert_close(torch.tensor(got), torch.tensor(EXPECTED[name]), rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', CASES)
def test_a_resumed_training_is_bit_exact(name):
    straight = parameters(torch.float32)
    train(build(name, straight), straight, range(9))
    params = parameters(torch.float32)
    first = build(name, params)
    train(first, params, range(4))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = build(name, params)
    second.load_state_dict(torch.load(file, weights_only=True))
    train(second, params, range(4, 9))
    assert all(torch.equal(a, b) for a, b in zip(straight, params, strict=True))


@pytest.mark.parametrize('name', CASES)
def test_gradients_are_left_as_they_are(name):
    params = parameters()
    optimizer = build(name, params)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in params)


def test_lamb_is_the_formula_of_the_paper():
    weight, grad, lr, decay, eps = torch.tensor([3.0, -4.0]), torch.tensor([0.3, 0.1]), 0.1, 0.01, 1e-6
    p = torch.nn.Parameter(weight.clone())
    optimizer = OPTIMIZERS.build(dict(type='Lamb', lr=lr, weight_decay=decay, eps=eps), params=[p])
    p.grad = grad
    optimizer.step()
    update = grad / (grad.abs() + eps) + decay * weight  # corrected moments of the first step: g and g^2
    torch.testing.assert_close(p.detach(), weight - lr * weight.norm() / update.norm() * update)


def test_lars_is_the_formula_of_the_paper():
    weight, grad, lr, decay, eta = torch.tensor([3.0, -4.0]), torch.tensor([0.3, 0.1]), 0.1, 0.01, 0.02
    p = torch.nn.Parameter(weight.clone())
    optimizer = OPTIMIZERS.build(dict(type='LARS', lr=lr, weight_decay=decay, eta=eta), params=[p])
    p.grad = grad
    optimizer.step()
    rate = eta * weight.norm() / (grad.norm() + decay * weight.norm())
    torch.testing.assert_close(p.detach(), weight - lr * rate * (grad + decay * weight))


@pytest.mark.parametrize('foreach', [True, False])
def test_adan_without_prox_moves_the_weights(foreach):
    # mmpretrain's foreach version only shrinks them
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = OPTIMIZERS.build(dict(type='Adan', lr=0.1, no_prox=True, foreach=foreach), params=[p])
    p.grad = torch.tensor([0.5, -0.5])
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.tensor([0.9, 2.1]))


def test_adan_restarts():
    params = parameters()
    optimizer = build('adan', params)
    train(optimizer, params, range(3))
    optimizer.restart_opt()
    fresh = [torch.nn.Parameter(p.detach().clone()) for p in params]
    train(optimizer, params, range(4))
    train(build('adan', fresh), fresh, range(4))
    assert all(torch.equal(a, b) for a, b in zip(params, fresh, strict=True))


def test_a_closure_is_called_with_gradients_on():
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = OPTIMIZERS.build(dict(type='LARS', lr=0.1), params=[p])

    def closure():
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert not torch.equal(p, torch.ones(2))


def test_copy_of_sgd_is_sgd():
    ours, theirs = parameters(), parameters()
    options = dict(lr=0.1, momentum=0.9, weight_decay=0.01)
    train(OPTIMIZERS.build(dict(type='CopyOfSGD', **options), params=ours), ours, range(5))
    train(torch.optim.SGD(theirs, **options), theirs, range(5))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ('node', 'text'),
    [
        (dict(type='LARS', lr=-1.0), 'lr must not be negative'),
        (dict(type='LARS', lr=0.1, nesterov=True), 'nesterov needs a momentum'),
        (dict(type='Lamb', betas=(0.9, 1.0)), 'betas must be 2 numbers'),
        (dict(type='Adan', betas=(0.9, 0.9)), 'betas must be 3 numbers'),
    ],
)
def test_values_out_of_range_are_refused(node, text):
    with pytest.raises(ValueError, match=text):
        OPTIMIZERS.build(node, params=parameters())


def test_sparse_gradients_are_refused():
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTIMIZERS.build(dict(type='Lamb', max_grad_norm=None), params=[p])
    p.grad = torch.ones(3).to_sparse()
    with pytest.raises(RuntimeError, match='Lamb takes no sparse gradients'):
        optimizer.step()
