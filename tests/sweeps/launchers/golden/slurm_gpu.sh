#!/bin/bash

# Parameters
#SBATCH --account=nlp
#SBATCH --array=0-2%3
#SBATCH --comment='glue_small, level 1'
#SBATCH --constraint='a100|h100'
#SBATCH --cpus-per-task=8
#SBATCH --dependency=afterany:41:42
#SBATCH --exclude=node3,node7
#SBATCH --gres=gpu:1
#SBATCH --job-name=kdlab-0123456789ab
#SBATCH --mem=32G
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/runs/logs/0123456789ab/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --reservation=night
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
module load cuda
ulimit -n 4096

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/logs/0123456789ab/%A_%a_%t_log.out python -u -m submitit.core._submit /runs/logs/0123456789ab
