"""MLP-Mixer.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}
EMPTY: Mapping[str, Any] = {}
ARCH_KEYS = ('embed_dims', 'num_layers', 'tokens_mlp_dims', 'channels_mlp_dims')


class MixerBlock(BaseModule):
    """A network over the tokens of each channel, then one over the channels of each token; each is added.

    State keys: ``ln1``, ``token_mix``, ``ln2``, ``channel_mix``.

    Args:
        num_tokens: Number L of tokens.
        embed_dims: Channels C.
        tokens_mlp_dims: Width of the network over tokens.
        channels_mlp_dims: Width of the network over channels.
        drop_rate: Dropout after linear layers.
        drop_path_rate: Probability that a sample goes without a branch.
        num_fcs: Number of linear layers of each network.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        num_tokens: int,
        embed_dims: int,
        tokens_mlp_dims: int,
        channels_mlp_dims: int,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        num_fcs: int = 2,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        drop_path = {'type': 'DropPath', 'drop_prob': drop_path_rate} if drop_path_rate > 0 else None
        options = (num_fcs, act_cfg, drop_rate, drop_path)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, embed_dims, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.token_mix = FFN(num_tokens, tokens_mlp_dims, *options, add_identity=False)
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, embed_dims, postfix=2)
        self.add_module(self.norm2_name, norm2)
        self.channel_mix = FFN(embed_dims, channels_mlp_dims, *options)

    def init_own_weights(self) -> None:
        """Glorot initialization with almost no bias."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        normed_ncl = getattr(self, self.norm1_name)(tokens_nlc).transpose(1, 2)
        tokens_nlc = tokens_nlc + self.token_mix(normed_ncl).transpose(1, 2)
        return self.channel_mix(getattr(self, self.norm2_name)(tokens_nlc), identity=tokens_nlc)


def _arch(*numbers: int) -> dict[str, int]:
    return dict(zip(ARCH_KEYS, numbers, strict=True))


@BACKBONES.register_module()
class MlpMixer(Backbone):
    """Network of nothing but fully connected layers, over tokens and over channels in turn.

    "MLP-Mixer: An all-MLP Architecture for Vision" (Tolstikhin et al., 2021, arXiv:2105.01601).

    State keys: ``patch_embed``, ``layers``, ``ln1``.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, ``num_layers``, ``tokens_mlp_dims`` and
            ``channels_mlp_dims``.
        img_size: Size of the image in pixels, (height, width); images of other sizes are refused.
        patch_size: Size of a patch in pixels.
        out_indices: Layers to output, from 0; negative ones count from the end.
        drop_rate: Dropout after linear layers.
        drop_path_rate: Drop probability of the branches of all layers.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        patch_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchEmbed`.
        layer_cfgs: Further arguments of the layers: one dict, or one for each.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the layers.
    """

    arch_zoo: ClassVar[dict[str, dict[str, int]]] = {
        **dict.fromkeys(('s', 'small'), _arch(512, 8, 256, 2048)),
        **dict.fromkeys(('b', 'base'), _arch(768, 12, 384, 3072)),
        **dict.fromkeys(('l', 'large'), _arch(1024, 24, 512, 4096)),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {'s': (512,), 'small': (512,), 'b': (768,), 'base': (768,), 'l': (1024,), 'large': (1024,)}
    }

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'base',
        img_size: Pair = 224,
        patch_size: Pair = 16,
        out_indices: int | Sequence[int] = -1,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
        act_cfg: Mapping[str, Any] = GELU,
        patch_cfg: Mapping[str, Any] = EMPTY,
        layer_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        num_layers, self.img_size = settings['num_layers'], as_pair(img_size)
        self.out_indices = normalize_indices(out_indices, num_layers, 'MlpMixer')
        patches = {'embed_dims': settings['embed_dims'], 'kernel_size': patch_size, 'stride': patch_size, **patch_cfg}
        self.patch_embed = PatchEmbed(input_size=self.img_size, **patches)
        rows, columns = self.patch_embed.out_size(self.img_size)
        shared: dict[str, Any] = {
            'num_tokens': rows * columns, **{key: settings[key] for key in ARCH_KEYS if key != 'num_layers'},
            'drop_rate': drop_rate, 'drop_path_rate': drop_path_rate, 'act_cfg': act_cfg, 'norm_cfg': norm_cfg,
        }  # fmt: skip
        own = [layer_cfgs] * num_layers if isinstance(layer_cfgs, Mapping) else layer_cfgs
        self.layers = ModuleList(MixerBlock(**{**shared, **cfg}) for cfg in own)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, settings['embed_dims'], postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.out_channels = (settings['embed_dims'],) * len(self.out_indices)
        self.strides = (as_pair(patch_size)[0],) * len(self.out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images ``(N, 3, H, W)`` to the tokens of the output layers, channels first: ``(N, C, L)``.

        Raises:
            ValueError: The images have another size than ``img_size``.
        """
        if tuple(x.shape[2:]) != self.img_size:
            raise ValueError(f'MlpMixer takes images of {self.img_size} only, not {tuple(x.shape[2:])}')
        tokens_nlc, _ = self.patch_embed(x)
        outs = []
        for i, layer in enumerate(self.layers):
            tokens_nlc = layer(tokens_nlc)
            if i == len(self.layers) - 1:
                tokens_nlc = getattr(self, self.norm1_name)(tokens_nlc)
            if i in self.out_indices:
                outs.append(tokens_nlc.transpose(1, 2))
        return tuple(outs)
