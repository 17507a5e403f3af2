"""PSPNet on a slim ResNet-18-V1c: real microscopy (36 tiles of a scratch assay, 3 classes).

    intarsia train configs/segmentation/pspnet_resnet18_cells.py --seed 0

Run it in the root of the repository, where data/cells lies.

Measured with an earlier training pipeline (600 iterations, with changes of colour, 3 minutes on 2 CPU cores): mIoU
0.684; the U-Net is the better of the two.
"""

_base_ = 'unet_cells.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNetV1c',
        depth=18,
        stem_channels=32,
        base_channels=32,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        contract_dilation=True,
        style='pytorch',
    ),
    decode_head=dict(
        _delete_=True,
        type='PSPHead',
        in_channels=256,
        in_index=3,
        channels=64,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=3,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            dict(type='DiceLoss', loss_name='loss_dice'),
        ],
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=128,
        in_index=2,
        channels=32,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=3,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
    ),
)
