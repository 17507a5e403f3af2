"""Vision transformer.

Shape suffixes: n samples, l tokens, c channels, h rows of patches, w columns of patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.transformer_layer import TransformerEncoderLayer
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed, fit_pos_embed, resize_pos_embed
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
EMPTY: Mapping[str, Any] = {}
OUT_TYPES = ('raw', 'cls_token', 'featmap', 'avg_featmap')
ARCH_KEYS = ('embed_dims', 'num_layers', 'num_heads', 'feedforward_channels')


def _arch(*numbers: int) -> dict[str, int]:
    return dict(zip(ARCH_KEYS, numbers, strict=True))


@BACKBONES.register_module()
class VisionTransformer(Backbone):
    """Transformer over the patches of an image.

    "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (Dosovitskiy et al., 2020,
    arXiv:2010.11929); also the networks of DeiT (arXiv:2012.12877), EVA (arXiv:2211.07636), CLIP (arXiv:2103.00020)
    and DINOv2 (arXiv:2304.07193).

    Images of any size are taken: position embeddings are interpolated to their grid of patches.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, ``num_layers``, ``num_heads`` and
            ``feedforward_channels``.
        img_size: Usual size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels.
        in_channels: Channels of the image.
        out_indices: Layers to output, from 0; negative ones count from the end.
        drop_rate: Dropout of tokens and after linear layers.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        qkv_bias: Whether queries, keys and values have a bias.
        norm_cfg: Config of the normalizations.
        final_norm: Normalize the tokens after the last layer.
        out_type: What an output is: ``'cls_token'`` and ``'avg_featmap'`` (normalized mean of the patches) ``(N, C)``,
            ``'featmap'`` ``(N, C, H, W)``, ``'raw'`` all tokens ``(N, L, C)``. None: as ``output_cls_token`` says.
        with_cls_token: Whether the layers see a class token.
        output_cls_token: Without ``out_type``, an output is ``[featmap, class token]``, or if False the map alone.
        frozen_stages: Freeze the embedding and so many layers, if above 0.
        interpolate_mode: How position embeddings are interpolated.
        layer_scale_init_value: First value of a factor per channel of each branch; 0 for no factor.
        pre_norm: Normalize the tokens before the first layer, and give the patches no bias (CLIP).
        patch_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchEmbed`.
        layer_cfgs: Further arguments of the layers: one dict, or one for each.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture or the type of output is unknown, or a class token is to be output without one.
    """

    arch_zoo: ClassVar[dict[str, dict[str, int]]] = {
        **dict.fromkeys(('s', 'small'), _arch(768, 8, 8, 768 * 3)),
        **dict.fromkeys(('b', 'base', 'deit-b', 'deit-base'), _arch(768, 12, 12, 3072)),
        **dict.fromkeys(('l', 'large'), _arch(1024, 24, 16, 4096)),
        **dict.fromkeys(('h', 'huge'), _arch(1280, 32, 16, 5120)),
        **dict.fromkeys(('eva-g', 'eva-giant'), _arch(1408, 40, 16, 6144)),
        **dict.fromkeys(('deit-t', 'deit-tiny'), _arch(192, 12, 3, 768)),
        **dict.fromkeys(('deit-s', 'deit-small', 'dinov2-s', 'dinov2-small'), _arch(384, 12, 6, 1536)),
        **dict.fromkeys(('dinov2-g', 'dinov2-giant'), _arch(1536, 40, 24, 6144)),
    }

    layer_class: ClassVar[type[nn.Module]] = TransformerEncoderLayer
    """What the layers are; a subclass may have others with the same arguments."""
    embeds_extra_tokens: ClassVar[bool] = True
    """Whether tokens that belong to no patch have position embeddings."""
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            's': (768,), 'small': (768,), 'b': (768,), 'base': (768,), 'l': (1024,), 'large': (1024,),
            'h': (1280,), 'huge': (1280,), 'eva-g': (1408,), 'eva-giant': (1408,), 'deit-t': (192,),
            'deit-tiny': (192,), 'deit-s': (384,), 'deit-small': (384,), 'deit-b': (768,), 'deit-base': (768,),
            'dinov2-s': (384,), 'dinov2-small': (384,), 'dinov2-g': (1536,), 'dinov2-giant': (1536,),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'base',
        img_size: Pair = 224,
        patch_size: Pair = 16,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        final_norm: bool = True,
        out_type: Literal['raw', 'cls_token', 'featmap', 'avg_featmap'] | None = None,
        with_cls_token: bool = True,
        output_cls_token: bool = True,
        frozen_stages: int = -1,
        interpolate_mode: str = 'bicubic',
        layer_scale_init_value: float = 0.0,
        pre_norm: bool = False,
        patch_cfg: Mapping[str, Any] = EMPTY,
        layer_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        self.embed_dims, self.num_layers = settings['embed_dims'], settings['num_layers']
        self._set_outputs(out_type, with_cls_token, output_cls_token)
        self.out_indices = normalize_indices(out_indices, self.num_layers, type(self).__name__)
        self.img_size, self.interpolate_mode = as_pair(img_size), interpolate_mode
        self.frozen_stages, self.final_norm = frozen_stages, final_norm
        defaults = {'kernel_size': patch_size, 'stride': patch_size, 'bias': not pre_norm}
        self.patch_embed = PatchEmbed(
            in_channels, self.embed_dims, input_size=self.img_size, **{**defaults, **patch_cfg}
        )
        self.patch_resolution = self.patch_embed.out_size(self.img_size)
        num_patches = self.patch_resolution[0] * self.patch_resolution[1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims)) if self.num_extra_tokens else None
        self.num_embedded_extra = self.num_extra_tokens if self.embeds_extra_tokens else 0
        self.pos_embed = nn.Parameter(torch.zeros(1, num_patches + self.num_embedded_extra, self.embed_dims))
        self.register_load_state_dict_pre_hook(_fit_loaded_pos_embed)
        self.drop_after_pos = nn.Dropout(drop_rate)
        self.pre_norm = build_norm_layer(norm_cfg, self.embed_dims)[1] if pre_norm else nn.Identity()

        options: dict[str, Any] = {
            'embed_dims': self.embed_dims, 'num_heads': settings['num_heads'], 'norm_cfg': norm_cfg,
            'feedforward_channels': settings['feedforward_channels'], 'drop_rate': drop_rate, 'qkv_bias': qkv_bias,
        }  # fmt: skip
        if layer_scale_init_value:
            options['layer_scale_init_value'] = layer_scale_init_value
        rates = decay_rule(drop_path_rate, self.num_layers)
        own = [layer_cfgs] * self.num_layers if isinstance(layer_cfgs, Mapping) else layer_cfgs
        self.layers = ModuleList(
            self.layer_class(**{**options, 'drop_path_rate': rate, **cfg}) for rate, cfg in zip(rates, own, strict=True)
        )
        self.ln1 = build_norm_layer(norm_cfg, self.embed_dims)[1] if final_norm else nn.Identity()
        self.ln2 = build_norm_layer(norm_cfg, self.embed_dims)[1] if out_type == 'avg_featmap' else nn.Identity()
        self.out_channels = (self.embed_dims,) * len(self.out_indices)
        is_map = out_type in (None, 'featmap')
        self.strides = (as_pair(patch_size)[0] if is_map else 0,) * len(self.out_indices)
        self._freeze_stages()

    def _set_outputs(self, out_type: str | None, with_cls_token: bool, output_cls_token: bool) -> None:
        name = type(self).__name__
        if out_type not in (None, *OUT_TYPES):
            raise ValueError(f'{name}: out_type must be one of {", ".join(OUT_TYPES)}, not {out_type!r}')
        if out_type is None:
            out_type = 'pair' if output_cls_token else 'featmap'
            # A class token that the layers do not see has a place in such checkpoints nevertheless.
            self.num_extra_tokens = 1
        else:
            self.num_extra_tokens = int(with_cls_token)
        if not with_cls_token and out_type in ('pair', 'cls_token'):
            raise ValueError(f'{name}: with_cls_token=False, so there is no class token to output')
        self.out_type, self.with_cls_token = out_type, with_cls_token

    def init_own_weights(self) -> None:
        """Truncated normal position embeddings."""
        trunc_normal_(self.pos_embed, std=0.02)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """Embeddings and the first ``frozen_stages`` layers; after the last layer the normalizations too."""
        if self.frozen_stages <= 0:
            return []
        parts: list[nn.Module | nn.Parameter] = [self.pos_embed, self.patch_embed, self.drop_after_pos, self.pre_norm]
        if self.cls_token is not None:
            parts.append(self.cls_token)
        parts += self.layers[: self.frozen_stages]
        return [*parts, self.ln1, self.ln2] if self.frozen_stages >= self.num_layers else parts

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        """Features of the output layers.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            For each output what ``out_type`` or ``output_cls_token`` says.
        """
        tokens_nlc, grid = self.embed(x)
        outs = []
        for i, layer in enumerate(self.layers):
            tokens_nlc = self._through(layer, tokens_nlc, grid)
            if i == self.num_layers - 1:
                tokens_nlc = self.ln1(tokens_nlc)
            if i in self.out_indices:
                outs.append(self._output(tokens_nlc, grid))
        return tuple(outs)

    def embed(self, image_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first layer gets, ``(N, L, C)``, and the (rows, columns) of the patches."""
        tokens_nlc, grid = self.patch_embed(image_nchw)
        if self.embeds_extra_tokens:
            tokens_nlc = self._with_extra_tokens(tokens_nlc)
        tokens_nlc = tokens_nlc + resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, self.interpolate_mode, self.num_embedded_extra
        )
        tokens_nlc = self.drop_after_pos(tokens_nlc)
        if not self.embeds_extra_tokens:
            tokens_nlc = self._with_extra_tokens(tokens_nlc)
        if self.num_extra_tokens and not self.with_cls_token:
            tokens_nlc = tokens_nlc[:, self.num_extra_tokens :]
        return self.pre_norm(tokens_nlc), grid

    def _with_extra_tokens(self, patches_nlc: Tensor) -> Tensor:
        """Put the tokens that belong to no patch before those that do."""
        if self.cls_token is None:
            return patches_nlc
        return torch.cat((self.cls_token.expand(len(patches_nlc), -1, -1), patches_nlc), dim=1)

    def _through(self, layer: nn.Module, tokens_nlc: Tensor, grid: tuple[int, int]) -> Tensor:
        """What a layer makes of the tokens."""
        return layer(tokens_nlc)

    def _output(self, tokens_nlc: Tensor, grid: tuple[int, int]) -> Any:
        if self.out_type == 'raw':
            return tokens_nlc
        if self.out_type == 'cls_token':
            return tokens_nlc[:, 0]
        patches_nlc = tokens_nlc[:, self.num_extra_tokens :] if self.with_cls_token else tokens_nlc
        if self.out_type == 'avg_featmap':
            return self.ln2(patches_nlc.mean(dim=1))
        map_nchw = patches_nlc.transpose(1, 2).unflatten(2, grid)
        return [map_nchw, tokens_nlc[:, 0]] if self.out_type == 'pair' else map_nchw

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for rates that decay from layer to layer, and the number of depths.

        The embeddings have depth 0, layer i has i + 1, everything else the last.

        Args:
            param_name: Name of a parameter of the whole model.
            prefix: What the names of this backbone's parameters start with, ``'backbone.'``.
        """
        num_depths = self.num_layers + 2
        kind, *numbers = param_name.removeprefix(prefix).split('.')
        if not param_name.startswith(prefix):
            return num_depths - 1, num_depths
        if kind in ('cls_token', 'pos_embed', 'patch_embed'):
            return 0, num_depths
        return (int(numbers[0]) + 1 if kind == 'layers' else num_depths - 1), num_depths


def _fit_loaded_pos_embed(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: interpolate position embeddings that were trained with another size of image."""
    assert isinstance(module, VisionTransformer)
    key = f'{prefix}pos_embed'
    if key in state:
        grid = module.patch_resolution
        state[key] = fit_pos_embed(state[key], grid, module.num_embedded_extra, module.interpolate_mode)
