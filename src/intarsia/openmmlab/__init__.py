"""The import paths of MMCV, MMEngine, MMClassification, MMSegmentation, MMPose and MMAction2, over our own pieces.

Once this package is imported, which every command does before it imports a user's modules, ``from mmcv.runner import
HOOKS`` gives what we have for it. A package that is really installed is left alone. In code of your own::

    import intarsia.openmmlab

A script runs so without a change: ``python -m intarsia.openmmlab train.py ARGUMENTS``.
"""

from __future__ import annotations

from intarsia.openmmlab.finder import install

__all__ = ['install']

install()
