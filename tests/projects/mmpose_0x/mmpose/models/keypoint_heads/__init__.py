from .my_head import MyHead, BaseDerivedHead
