_base_ = 'cfg.py'
model = dict(loss_pose=dict(type='MyLoss', use_target_weight=True), keypoint_head=dict(_delete_=True, type='MyHead', arg1=16, arg2=17))
