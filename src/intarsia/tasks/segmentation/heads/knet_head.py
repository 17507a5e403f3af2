"""Kernels of classes that are refined by what they found.

Shapes: n images, c channels, k classes, h rows, w columns, s side of a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS, MODELS
from intarsia.models.backbones.residual_attention import ResidualAttention
from intarsia.models.stage_input import Features
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.resize import resize

LN: Mapping[str, Any] = {'type': 'LN'}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}
UPDATER: Mapping[str, Any] = {
    'type': 'segmentation.KernelUpdator', 'in_channels': 256, 'feat_channels': 64, 'out_channels': 256,
    'act_cfg': RELU, 'norm_cfg': LN,
}  # fmt: skip


@MODELS.register_module()
class KernelUpdator(nn.Module):
    """Mix a kernel with the mean of what it found, by gates that depend on both.

    "K-Net: Towards Unified Image Segmentation" (Zhang et al., 2021, arXiv:2106.14855).

    Args:
        in_channels: Channels C of kernels and features.
        feat_channels: Channels inside; C, as kernels are taken in pieces of it.
        out_channels: Channels of the new kernels; C if not given.
        gate_sigmoid: Whether gates lie between 0 and 1.
        gate_norm_act: Normalize and activate what gates are made of.
        activate_out: Activate what gates are applied to.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
    """

    def __init__(
        self,
        in_channels: int = 256,
        feat_channels: int = 64,
        out_channels: int | None = None,
        gate_sigmoid: bool = True,
        gate_norm_act: bool = False,
        activate_out: bool = False,
        norm_cfg: Mapping[str, Any] = LN,
        act_cfg: Mapping[str, Any] = RELU,
    ) -> None:
        super().__init__()
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.gate_sigmoid, self.gate_norm_act, self.activate_out = gate_sigmoid, gate_norm_act, activate_out
        width = out_channels or in_channels
        self.dynamic_layer = nn.Linear(in_channels, 2 * feat_channels)
        self.input_layer = nn.Linear(in_channels, 2 * feat_channels)
        self.input_gate = nn.Linear(in_channels, feat_channels)
        self.update_gate = nn.Linear(in_channels, feat_channels)
        if gate_norm_act:
            self.gate_norm = build_norm_layer(norm_cfg, feat_channels)[1]
        self.norm_in = build_norm_layer(norm_cfg, feat_channels)[1]
        self.norm_out = build_norm_layer(norm_cfg, feat_channels)[1]
        self.input_norm_in = build_norm_layer(norm_cfg, feat_channels)[1]
        self.input_norm_out = build_norm_layer(norm_cfg, feat_channels)[1]
        self.activation = build_activation_layer(act_cfg)
        self.fc_layer = nn.Linear(feat_channels, width)
        self.fc_norm = build_norm_layer(norm_cfg, width)[1]

    def forward(self, found_nkc: Tensor, kernel_nksc: Tensor) -> Tensor:
        """Update kernels.

        Args:
            found_nkc: Mean feature of what each kernel found, ``(N, K, C)``.
            kernel_nksc: The kernels, ``(N, K, places, C)``.

        Returns:
            New kernels ``(N * K, places, out_channels)``.
        """
        found_mc = found_nkc.reshape(-1, self.in_channels)
        kernel_msc = kernel_nksc.reshape(len(found_mc), -1, self.feat_channels)
        found_in, found_out = self.dynamic_layer(found_mc)[:, None].chunk(2, dim=-1)
        kernel_in, kernel_out = self.input_layer(kernel_msc).chunk(2, dim=-1)
        both = kernel_in * found_in
        if self.gate_norm_act:
            both = self.activation(self.gate_norm(both))
        kernel_gate, found_gate = self.input_norm_in(self.input_gate(both)), self.norm_in(self.update_gate(both))
        if self.gate_sigmoid:
            kernel_gate, found_gate = kernel_gate.sigmoid(), found_gate.sigmoid()
        found_out, kernel_out = self.norm_out(found_out), self.input_norm_out(kernel_out)
        if self.activate_out:
            found_out, kernel_out = self.activation(found_out), self.activation(kernel_out)
        mixed = found_gate * found_out + kernel_gate * kernel_out
        return self.activation(self.fc_norm(self.fc_layer(mixed)))


@HEADS.register_module()
class KernelUpdateHead(nn.Module):
    """Refine the kernel of every class by its mask, let kernels attend to each other, and make new masks.

    "K-Net: Towards Unified Image Segmentation" (Zhang et al., 2021, arXiv:2106.14855).

    Args:
        num_classes: Number of classes K.
        num_ffn_fcs: Linear layers of the feed-forward network.
        num_heads: Heads of the attention.
        num_mask_fcs: Linear layers between a kernel and its mask.
        feedforward_channels: Channels inside the feed-forward network.
        in_channels: Channels C of the feature and of kernels.
        out_channels: Channels of kernels at the end; C.
        dropout: Dropout of attention and feed-forward network.
        act_cfg: Config of the activations before masks.
        ffn_act_cfg: Config of the activation of the feed-forward network.
        conv_kernel_size: Side S of a kernel.
        feat_transform_cfg: ``kernel_size`` and further arguments of a convolution of the feature; None for none.
        kernel_init: Whether the last layer starts from small weights.
        with_ffn: Whether there is a feed-forward network.
        feat_gather_stride: Stride of the convolution of the feature.
        mask_transform_stride: 2 to make masks at half the resolution.
        kernel_updator_cfg: Config of the :class:`KernelUpdator`.
    """

    def __init__(
        self,
        num_classes: int = 150,
        num_ffn_fcs: int = 2,
        num_heads: int = 8,
        num_mask_fcs: int = 3,
        feedforward_channels: int = 2048,
        in_channels: int = 256,
        out_channels: int = 256,
        dropout: float = 0.0,
        act_cfg: Mapping[str, Any] = RELU,
        ffn_act_cfg: Mapping[str, Any] = RELU,
        conv_kernel_size: int = 1,
        feat_transform_cfg: Mapping[str, Any] | None = None,
        kernel_init: bool = False,
        with_ffn: bool = True,
        feat_gather_stride: int = 1,
        mask_transform_stride: int = 1,
        kernel_updator_cfg: Mapping[str, Any] = UPDATER,
    ) -> None:
        super().__init__()
        self.num_classes, self.in_channels, self.out_channels = num_classes, in_channels, out_channels
        self.kernel_init, self.with_ffn, self.conv_kernel_size = kernel_init, with_ffn, conv_kernel_size
        self.feat_gather_stride, self.mask_transform_stride = feat_gather_stride, mask_transform_stride
        size = in_channels * conv_kernel_size**2
        self.attention = ResidualAttention(size, num_heads, attn_drop=dropout)
        self.attention_norm = build_norm_layer(LN, size)[1]
        self.kernel_update_conv = MODELS.of('segmentation').build(kernel_updator_cfg)
        self.feat_transform = None
        if feat_transform_cfg is not None:
            options = {'kernel_size': 1, **feat_transform_cfg}
            self.feat_transform = ConvModule(
                in_channels, in_channels, stride=feat_gather_stride, padding=feat_gather_stride // 2, **options
            )
        if with_ffn:
            self.ffn = FFN(in_channels, feedforward_channels, num_ffn_fcs, ffn_act_cfg, ffn_drop=dropout)
            self.ffn_norm = build_norm_layer(LN, in_channels)[1]
        layers: list[nn.Module] = []
        for _ in range(num_mask_fcs):
            norm = build_norm_layer(LN, in_channels)[1]
            layers += [nn.Linear(in_channels, in_channels, bias=False), norm, build_activation_layer(act_cfg)]
        self.mask_fcs = nn.ModuleList(layers)
        self.fc_mask = nn.Linear(in_channels, out_channels)

    def init_weights(self) -> None:
        """Glorot initialization of matrices, with ``kernel_init`` small weights of the last one."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if self.kernel_init:
            nn.init.normal_(self.fc_mask.weight, std=0.01)

    def forward(self, feat_nchw: Tensor, kernel_nkcss: Tensor, mask_nkhw: Tensor) -> tuple[Tensor, Tensor]:
        """New masks and kernels.

        Args:
            feat_nchw: The feature ``(N, C, H, W)``.
            kernel_nkcss: The kernels ``(N, K, C, S, S)``.
            mask_nkhw: Logits that they gave, ``(N, K, H', W')``.

        Returns:
            Logits ``(N, K, H, W)`` and kernels ``(N, K, C, S, S)``.
        """
        n, k = kernel_nkcss.shape[:2]
        x_nchw = feat_nchw if self.feat_transform is None else self.feat_transform(feat_nchw)
        if mask_nkhw.shape[2:] != x_nchw.shape[2:]:
            mask_nkhw = resize(mask_nkhw, size=x_nchw.shape[2:], mode='bilinear', align_corners=False)
        found_nkc = mask_nkhw.softmax(dim=1).flatten(2) @ x_nchw.flatten(2).transpose(1, 2)
        kernel_nksc = self.kernel_update_conv(found_nkc, kernel_nkcss.flatten(3).transpose(2, 3)).reshape(n, k, -1)
        kernel_nksc = self.attention_norm(self.attention(kernel_nksc)).reshape(n, k, -1, self.in_channels)
        if self.with_ffn:
            kernel_nksc = self.ffn_norm(self.ffn(kernel_nksc))
        masks_nkhw = self._masks(x_nchw, kernel_nksc)
        return masks_nkhw, kernel_nksc.transpose(2, 3).reshape(n, k, self.in_channels, *kernel_nkcss.shape[3:])

    def _masks(self, x_nchw: Tensor, kernel_nksc: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of every kernel in its image."""
        (n, k), side = kernel_nksc.shape[:2], self.conv_kernel_size
        for layer in self.mask_fcs:
            kernel_nksc = layer(kernel_nksc)
        weight_nkcs = self.fc_mask(kernel_nksc).transpose(2, 3)
        if self.mask_transform_stride == 2 and self.feat_gather_stride == 1:
            x_nchw = resize(x_nchw, scale_factor=0.5, mode='bilinear', align_corners=False)
        weight = weight_nkcs.reshape(n * k, x_nchw.shape[1], side, side)
        # The images side by side in the channels: each has kernels of its own.
        x_1dhw = x_nchw.flatten(0, 1)[None]
        masks_nkhw = F.conv2d(x_1dhw, weight, padding=side // 2, groups=n).unflatten(1, (n, k))[0]
        if self.mask_transform_stride == 2:
            masks_nkhw = resize(masks_nkhw, scale_factor=2, mode='bilinear', align_corners=False)
        return masks_nkhw


@HEADS.register_module()
class IterativeDecodeHead(BaseModule):
    """A decode head whose last convolution gives the kernels of classes, which further heads refine one by one.

    "K-Net: Towards Unified Image Segmentation" (Zhang et al., 2021, arXiv:2106.14855).

    State keys: ``kernel_generate_head``, ``kernel_update_head``.

    Args:
        num_stages: How many heads refine.
        kernel_generate_head: Config of a decode head, which also has the losses.
        kernel_update_head: Configs of those, each a :class:`KernelUpdateHead`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There is another number of heads.
    """

    def __init__(
        self,
        num_stages: int,
        kernel_generate_head: Mapping[str, Any],
        kernel_update_head: Sequence[Mapping[str, Any]],
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_stages != len(kernel_update_head):
            raise ValueError(
                f'IterativeDecodeHead with num_stages={num_stages} has {len(kernel_update_head)} of kernel_update_head'
            )
        heads = MODELS.of('segmentation')
        self.kernel_generate_head = heads.build(kernel_generate_head)
        self.kernel_update_head = nn.ModuleList(heads.build(cfg) for cfg in kernel_update_head)
        first = self.kernel_generate_head
        self.num_classes, self.out_channels, self.threshold = first.num_classes, first.num_classes, first.threshold
        self.align_corners, self.ignore_index = first.align_corners, first.ignore_index

    def stages(self, feats: Features) -> list[Tensor]:
        """Logits ``(N, K, h, w)`` of the first head and of every one that refines."""
        first = self.kernel_generate_head
        feat_nchw = first._forward_feature(feats)
        logits = [first.cls_seg(feat_nchw)]
        kernel_nkcss = first.conv_seg.weight.expand(len(feat_nchw), -1, -1, -1, -1)
        for head in self.kernel_update_head:
            mask_nkhw, kernel_nkcss = head(feat_nchw, kernel_nkcss, logits[-1])
            logits.append(mask_nkhw)
        return logits

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the last head."""
        return self.stages(feats)[-1]

    def loss(self, feats: Features, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses and accuracies of all heads: ``loss_ce.s0``, ``acc_seg.s0``, ``loss_ce.s1``, ..."""
        losses: dict[str, Tensor] = {}
        for i, logits in enumerate(self.stages(feats)):
            found = self.kernel_generate_head.losses(logits, target_n1hw)
            losses |= {f'{name}.s{i}': value for name, value in found.items()}
        return losses
