#!/usr/bin/env bash
# Trains on several machines with Slurm, and goes on by itself when the job is preempted or its time is up:
#
#     sbatch examples/slurm.sh CONFIG [--work-dir DIR] [--cfg-options KEY=VALUE ...]
#
# Two minutes before the end Slurm sends SIGUSR1 to this script, which passes it on. The run writes a checkpoint and
# leaves with 138; the job is put back into the queue, and --auto-resume continues at the very iteration.
#
#SBATCH --job-name=intarsia
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -u

stopped=138 # 128 + SIGUSR1

srun intarsia train "$@" --launcher slurm --auto-resume &
training=$!
trap 'signalled=yes; kill -USR1 "$training"' USR1

signalled=yes
while [ "$signalled" = yes ]; do # a signal ends a wait, not the training
    signalled=no
    wait "$training"
    code=$?
done

if [ "$code" -eq "$stopped" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
