from .vit_head import MyClsHead
