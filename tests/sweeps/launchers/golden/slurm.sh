#!/bin/bash

# Parameters
#SBATCH --array=0-2%3
#SBATCH --comment='glue_small, level 1'
#SBATCH --cpus-per-task=2
#SBATCH --dependency=afterany:41:42
#SBATCH --exclude=node3,node7
#SBATCH --job-name=kdlab-0123456789ab
#SBATCH --mem=8G
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/runs/logs/0123456789ab/%A_%a_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@90
#SBATCH --time=240
#SBATCH --wckey=submitit

# setup
export PYTHONPATH=/runs/code/1234${PYTHONPATH:+:$PYTHONPATH}
export HF_HUB_OFFLINE=1
export HF_DATASETS_OFFLINE=1
export TRANSFORMERS_OFFLINE=1
export PYTHONDONTWRITEBYTECODE=1
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/logs/0123456789ab/%A_%a_%t_log.out python -u -m submitit.core._submit /runs/logs/0123456789ab
