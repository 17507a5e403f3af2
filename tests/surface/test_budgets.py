"""What must not be imported to answer quickly. Times are measured in benchmarks, imports are counted here."""

from __future__ import annotations

import subprocess
import sys

import pytest

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'


@pytest.mark.parametrize(
    'command',
    [['--help'], ['--version'], ['list'], ['recipes'], ['train', '--help'], ['config', 'check', RECIPE], ['config', 'show', RECIPE]],
)  # fmt: skip
def test_light_commands_import_no_torch(command):
    code = (
        'import sys, contextlib\nfrom intarsia.cli.main import main\n'
        f'with contextlib.suppress(SystemExit):\n    main({command!r})\n'
        'heavy = {"torch", "numpy", "cv2", "matplotlib", "PIL"} & set(sys.modules)\nassert not heavy, heavy'
    )
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


def test_importing_the_package_imports_nothing_heavy():
    code = 'import sys, intarsia; assert not {"torch", "numpy", "cv2"} & set(sys.modules)'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_training_never_imports_plotting_libraries_unless_asked():
    code = (
        'import sys\nimport intarsia.api.train, intarsia.engine.runner, intarsia.data.loader\n'
        'assert not {"matplotlib", "torchvision", "tensorboard"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
