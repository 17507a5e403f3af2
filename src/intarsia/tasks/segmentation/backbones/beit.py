"""BEiT in the words of segmentation.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from, normalize_indices
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.init import kaiming_init, trunc_normal_
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair
from intarsia.tasks.segmentation.backbones.beit_layer import BEiTTransformerEncoderLayer
from intarsia.tasks.segmentation.backbones.beit_table import resize_table

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


@BACKBONES.register_module()
class BEiT(Backbone):
    """Vision transformer that knows positions by biases of the attention; chosen layers are output as maps.

    "BEiT: BERT Pre-Training of Image Transformers" (Bao et al., 2021, arXiv:2106.08254).

    Images must have the size ``img_size``; weights that were trained at another are interpolated when they are loaded.

    State keys: ``cls_token``, ``patch_embed``, ``layers``, ``ln1``.

    Args:
        img_size: Size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels.
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        num_layers: Number of layers.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward networks divided by C.
        out_indices: Layers to output, from 0; negative ones count from the end.
        qv_bias: Whether queries and values have a bias.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        patch_norm: Normalize the embedded patches.
        final_norm: Normalize the tokens after the last layer.
        num_fcs: Number of linear layers of the feed-forward networks.
        norm_eval: Keep batch norms in evaluation mode during training.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_values: First value of the factors that scale the branches.
        init_cfg: How weights are initialized.
    """

    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'embed_dims': {192: (192,), 384: (384,), 768: (768,), 1024: (1024,), 1280: (1280,)}
    }

    def __init__(
        self,
        img_size: Pair = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_indices: int | Sequence[int] = -1,
        qv_bias: bool = True,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
        act_cfg: Mapping[str, Any] = GELU,
        patch_norm: bool = False,
        final_norm: bool = False,
        num_fcs: int = 2,
        norm_eval: bool = False,
        pretrained: str | None = None,
        init_values: float = 0.1,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        height, width = as_pair(img_size)
        self.patch_shape = (height // patch_size, width // patch_size)
        self.norm_eval, self.final_norm = norm_eval, final_norm
        self.out_indices = normalize_indices(out_indices, num_layers, type(self).__name__)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, stride=patch_size, padding=0,
            norm_cfg=norm_cfg if patch_norm else None,
        )  # fmt: skip
        self.layers = ModuleList(
            BEiTTransformerEncoderLayer(
                embed_dims, num_heads, mlp_ratio * embed_dims, self.patch_shape, attn_drop_rate, rate, num_fcs,
                self._bias(qv_bias), act_cfg, norm_cfg, init_values,
            )
            for rate in decay_rule(drop_path_rate, num_layers)
        )  # fmt: skip
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, embed_dims, postfix=1)
        if final_norm:
            self.add_module(self.norm1_name, norm1)
        self.register_load_state_dict_pre_hook(_fit_loaded_tables)
        self.out_channels = (embed_dims,) * len(self.out_indices)
        self.strides = (patch_size,) * len(self.out_indices)

    def _bias(self, qv_bias: bool) -> bool | str:
        """Which bias the linear layers of the attention have."""
        return 'qv_bias' if qv_bias else False

    def init_own_weights(self) -> None:
        """Truncated normal class token and linear layers, almost no bias; only without ``init_cfg``."""
        if self.init_cfg is not None:
            return
        trunc_normal_(self.cls_token, std=0.02)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=1e-6 if 'ffn' in name else 0.0)
            elif isinstance(module, nn.Conv2d):
                kaiming_init(module, mode='fan_in')

    def embed(self, image_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens ``(N, 1 + L, C)``, the class token first, and the (rows, columns) of the patches."""
        patches_nlc, grid = self.patch_embed(image_nchw)
        if grid != self.patch_shape:
            raise ValueError(f'{type(self).__name__}: {grid} patches, but img_size is for {self.patch_shape}')
        return torch.cat((self.cls_token.expand(len(patches_nlc), -1, -1), patches_nlc), dim=1), grid

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps of the output layers.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            For each output ``(N, C, H / patch_size, W / patch_size)``.

        Raises:
            ValueError: The images have another number of patches than ``img_size``.
        """
        tokens_nlc, grid = self.embed(x)
        outs = []
        for i, layer in enumerate(self.layers):
            tokens_nlc = layer(tokens_nlc)
            if self.final_norm and i == len(self.layers) - 1:
                tokens_nlc = getattr(self, self.norm1_name)(tokens_nlc)
            if i in self.out_indices:
                outs.append(tokens_nlc[:, 1:].transpose(1, 2).unflatten(2, grid).contiguous())
        return tuple(outs)


def _fit_loaded_tables(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: interpolate position biases that were trained with another size of image."""
    assert isinstance(module, BEiT)
    own = module.state_dict()
    for key, value in own.items():
        loaded = state.get(prefix + key)
        if loaded is None or loaded.shape == value.shape:
            continue
        if key.endswith('relative_position_index'):
            state[prefix + key] = value
        elif key.endswith('relative_position_bias_table'):
            state[prefix + key] = resize_table(loaded, module.patch_shape)
