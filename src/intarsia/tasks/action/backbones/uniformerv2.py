"""UniFormerV2: a vision transformer of images, armed for clips.

Shape suffixes: n clips, c channels, t frames, l tokens of a frame, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.nn.drop import decay_rule
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.inflate import in_the_middle
from intarsia.tasks.action.backbones.uniformerv2_layer import ClipTransformer, GlobalBlock, LocalBlock

CLIP_WEIGHTS: Mapping[str, str] = {
    'ViT-B/16': 'vit-base-p16-res224_clip-rgb_20221219-b8a5da86.pth',
    'ViT-L/14': 'vit-large-p14-res224_clip-rgb_20221219-9de7543e.pth',
    'ViT-L/14_336': 'vit-large-p14-res336_clip-rgb_20221219-d370f9e5.pth',
}
"""Files of the image encoders of CLIP, in the folder that :data:`CLIP_FOLDER` names."""

CLIP_FOLDER = 'https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv2/clipVisualEncoder/'


@BACKBONES.register_module()
class UniFormerV2(Backbone):
    """Frames go through a vision transformer, and a token of the clip gathers what its last layers see.

    "UniFormerV2: Spatiotemporal Learning by Arming Image ViTs with Video UniFormer" (Li et al., 2022,
    arXiv:2211.09552). State keys: ``class_embedding``, ``positional_embedding``, ``conv1``, ``ln_pre``,
    ``transformer``.

    Args:
        input_resolution: Side of a frame in pixels.
        patch_size: Side of a patch in pixels.
        width: Channels of the tokens of frames.
        layers: Number of layers of frames.
        heads: Number of their heads.
        backbone_drop_path_rate: Drop probability of their last one's branches; it grows linearly from 0.
        t_size: Frames of a clip.
        kernel_size: Frames of a patch, with ``temporal_downsample``.
        dw_reduction: Channels divided by those inside the relations of neighbouring frames.
        temporal_downsample: Whether a patch has several frames, with a stride of 2.
        no_lmhra: Whether layers of frames go without relations to neighbouring frames.
        double_lmhra: Whether relations also follow the attention.
        return_list: Layers that the token of the clip looks at.
        n_layers: How many those are.
        n_dim: Channels of the token of the clip: ``width``.
        n_head: Number of its heads.
        mlp_factor: Channels between its linear layers divided by ``n_dim``.
        drop_path_rate: Drop probability of the last branches of the clip's token; it grows linearly from 0.
        mlp_dropout: Dropout between its linear layers, for each of ``return_list``.
        clip_pretrained: Whether ``pretrained`` names an image encoder of CLIP, as ``'ViT-B/16'``; its kernels of images
            are put in the middle of those of clips.
        pretrained: Weights to start from.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Numbers do not fit ``n_layers`` or ``width``.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02, 'bias': 0.0},
        {'type': 'Constant', 'layer': 'LayerNorm', 'val': 1.0, 'bias': 0.0},
    )

    def __init__(
        self,
        input_resolution: int = 224,
        patch_size: int = 16,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        backbone_drop_path_rate: float = 0.0,
        t_size: int = 8,
        kernel_size: int = 3,
        dw_reduction: float = 1.5,
        temporal_downsample: bool = False,
        no_lmhra: bool = True,
        double_lmhra: bool = False,
        return_list: Sequence[int] = (8, 9, 10, 11),
        n_layers: int = 4,
        n_dim: int = 768,
        n_head: int = 12,
        mlp_factor: float = 4.0,
        drop_path_rate: float = 0.0,
        mlp_dropout: Sequence[float] = (0.5, 0.5, 0.5, 0.5),
        clip_pretrained: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg if clip_pretrained or pretrained is None else init_from(pretrained, None))
        if len(return_list) != n_layers or len(mlp_dropout) < n_layers or n_dim != width:
            raise ValueError(
                f'UniFormerV2: n_layers={n_layers}, but return_list={return_list} and mlp_dropout={mlp_dropout}'
                if n_dim == width
                else f'UniFormerV2: n_dim={n_dim}, but the layers that are looked at have width={width}'
            )
        self.pretrained = pretrained if clip_pretrained else None
        frames, step, pad = (kernel_size, 2, (kernel_size - 1) // 2) if temporal_downsample else (1, 1, 0)
        patch = (patch_size, patch_size)
        self.conv1 = nn.Conv3d(3, width, (frames, *patch), (step, *patch), (pad, 0, 0), bias=False)
        num_tokens = (input_resolution // patch_size) ** 2 + 1
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(num_tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        local: dict[str, Any] = {
            'reduction': dw_reduction, 'relates': not no_lmhra, 'relates_twice': double_lmhra
        }  # fmt: skip
        blocks = [LocalBlock(width, heads, rate, **local) for rate in decay_rule(backbone_drop_path_rate, layers)]
        rates = decay_rule(drop_path_rate, n_layers)
        gathers = [GlobalBlock(n_dim, n_head, mlp_factor, mlp_dropout[i], rates[i]) for i in range(n_layers)]
        self.transformer = ClipTransformer(blocks, gathers, tuple(return_list), n_dim)
        self.out_channels, self.strides = (n_dim,), (0,)

    def init_weights(self) -> None:
        """From an image encoder of CLIP, which leaves what is new as it was built; or as ``init_cfg`` says."""
        if self.pretrained is None:
            super().init_weights()
        elif not self._is_init:
            self._is_init = True
            file = CLIP_WEIGHTS.get(self.pretrained)
            state = read_state_dict(find_weights(self.pretrained if file is None else CLIP_FOLDER + file))
            load_state_dict(self, in_the_middle(state, self.state_dict()), strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The feature ``(N, n_dim)`` of each clip ``(N, 3, T, H, W)``."""
        maps_ncthw = self.conv1(x)
        patches_ntlc = maps_ncthw.permute(0, 2, 3, 4, 1).flatten(2, 3)
        n, t, _, _ = patches_ntlc.shape
        tokens = torch.cat((self.class_embedding.expand(n, t, 1, -1), patches_ntlc), dim=2)
        tokens = self.ln_pre(tokens + self.positional_embedding)
        return (self.transformer(tokens, maps_ncthw.shape[3:]),)
