from .psp_head import PSPHead
