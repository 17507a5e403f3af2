from .l1_loss import L1Loss, l1_loss
