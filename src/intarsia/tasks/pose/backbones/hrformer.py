"""HRFormer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.hrnet import BN, HRModule
from intarsia.models.backbones.lite_hrnet import lite_downscaling
from intarsia.models.backbones.residual import Bottleneck
from intarsia.nn.drop import decay_rule
from intarsia.tasks.pose.backbones.hrformer_block import LN_EPS6, HRFormerBlock
from intarsia.tasks.pose.backbones.hrnet import HRNet

BILINEAR: Mapping[str, Any] = {'mode': 'bilinear', 'align_corners': False}
TRANSFORMERS = ('stage2', 'stage3', 'stage4')


class HRFormerModule(HRModule):
    """Branches of different resolutions, and an exchange whose strided convolutions filter every channel by itself.

    Arguments of :class:`~intarsia.models.backbones.hrnet.HRModule`.
    """

    def _between(self, source: int, target: int, cfgs: Mapping[str, Any]) -> nn.Module:
        if source >= target:
            return super()._between(source, target, cfgs)
        before, after = self.out_channels[source], self.out_channels[target]
        return lite_downscaling([before] * (target - source) + [after], relu_at_end=False, **cfgs)


@BACKBONES.register_module()
class HRFormer(HRNet):
    """HRNet whose blocks, but for those of the first stage, are transformer blocks.

    "HRFormer: High-Resolution Transformer for Dense Prediction" (Yuan et al., 2021, arXiv:2110.09408).

    Args:
        extra: Numbers of all stages, as :class:`~intarsia.tasks.pose.backbones.hrnet.HRNet` takes them, with blocks
            ``'BOTTLENECK'`` and ``'HRFORMERBLOCK'``, and for each branch of the latter ``num_heads``, ``window_sizes``
            and ``mlp_ratios``. Besides, ``drop_path_rate`` of the last block (it grows linearly from 0),
            ``with_pad_mask``, whether windows ignore what lies outside of the map, and ``upsample``.
        transformer_norm_cfg: Config of the normalizations of tokens.
        norm_cfg: Config of the other normalizations.
        **kwargs: Arguments of :class:`~intarsia.tasks.pose.backbones.hrnet.HRNet`.

    Raises:
        ValueError: Numbers do not fit together, or ``with_rpe``, the bias of relative positions, is False.
    """

    block_types: ClassVar[Mapping[str, Any]] = {'BOTTLENECK': Bottleneck, 'HRFORMERBLOCK': HRFormerBlock}
    module_type: ClassVar[type[HRModule]] = HRFormerModule

    def __init__(
        self,
        extra: Mapping[str, Any],
        transformer_norm_cfg: Mapping[str, Any] = LN_EPS6,
        norm_cfg: Mapping[str, Any] = BN,
        **kwargs: Any,
    ) -> None:
        if not extra.get('with_rpe', True):
            raise ValueError('HRFormer: with_rpe=False, but windows have a bias of relative positions here')
        depths = [extra[name]['num_modules'] * extra[name]['num_blocks'][0] for name in TRANSFORMERS]
        rates = iter(decay_rule(extra.get('drop_path_rate', 0.0), sum(depths)))
        self.drop_path_rates = {
            name: [next(rates) for _ in range(depth)] for name, depth in zip(TRANSFORMERS, depths, strict=True)
        }
        self.transformer_norm_cfg = transformer_norm_cfg
        super().__init__(extra={'upsample': BILINEAR, **extra}, norm_cfg=norm_cfg, **kwargs)

    def make_branches(self, stage: str, module: int, with_cp: bool) -> list[nn.Module]:
        """Make the branches of one module; see the base."""
        numbers = self.extra[stage]
        first = module * numbers['num_blocks'][0]
        branches: list[nn.Module] = []
        for i, (num, channels) in enumerate(zip(numbers['num_blocks'], numbers['num_channels'], strict=True)):
            blocks = [
                HRFormerBlock(
                    channels, numbers['num_heads'][i], numbers['window_sizes'][i], numbers['mlp_ratios'][i],
                    self.drop_path_rates[stage][first + j], self.extra.get('with_pad_mask', False),
                    self._cfgs['norm_cfg'], self.transformer_norm_cfg, with_cp,
                )
                for j in range(num)
            ]  # fmt: skip
            branches.append(nn.Sequential(*blocks))
        return branches
