"""BSN, first stage: which positions are within an exercise, begin or end one, in the signals of a smart watch.

    intarsia train configs/action/bsn_tem_exercises.py --seed 0
    intarsia proposals configs/action/bsn_tem_exercises.py work_dirs/bsn_tem_exercises/latest.pth --out work_dirs/bsn

Then the second stage, configs/action/bsn_pem_exercises.py. Run it in the root of the repository, where
data/exercise_streams lies.

Measured after 40 epochs, in a minute on 2 CPU cores: AR@10 of 0.700, AR@100 of 0.927, AUC of 84.6. These are proposals
that nobody has ranked yet: that is what the second stage is for.
"""

_base_ = 'bmn_exercises.py'

model = dict(
    _delete_=True,
    type='TEM',
    temporal_dim=100,
    boundary_ratio=0.1,
    tem_feat_dim=18,
    tem_hidden_dim=128,
    tem_match_threshold=0.5,
    conv3_ratio=1,
    num_classes=7,
)
data = dict(samples_per_gpu=8)
total_epochs = 40
