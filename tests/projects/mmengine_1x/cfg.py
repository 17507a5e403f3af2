custom_imports = dict(imports=['mine'])
task = 'classification'
model = dict(type='Net', width=4)
train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(type='Plain', n=24), sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(type='Plain', n=12), sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy')
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), constructor='HalfRate', paramwise_cfg=dict(x=1))
