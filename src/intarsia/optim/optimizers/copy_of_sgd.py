"""The example of an optimizer of one's own."""

from __future__ import annotations

from torch.optim import SGD

from intarsia.core.registries import OPTIMIZERS


@OPTIMIZERS.register_module()
class CopyOfSGD(SGD):
    """:class:`torch.optim.SGD` under another name: what an optimizer needs to be named in a config.

    One's own derives from an optimizer of ``torch.optim``, or from :class:`torch.optim.Optimizer`; the parameters are
    its first argument, the others are those of the config.
    """
