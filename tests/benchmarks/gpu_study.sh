#!/usr/bin/env bash
# A study on the GPU that is there, as far as it comes in some seconds; its archive is what is kept.
#
#   tests/benchmarks/gpu_study.sh OUT SECONDS STUDY [OVERRIDES...]
#
# For example the tables of PKD with MPNet, whose weights come in pieces (carry.py), on GLUE's rows in `glue`:
#   python3 tests/benchmarks/carry.py join pieces /tmp/mpnet
#   KDLAB_GLUE=glue tests/benchmarks/gpu_study.sh "$OUT" 400 b_pkd_mpnet teacher.checkpoint=/tmp/mpnet \
#       launcher.parallel=6 launcher.cohort=8 train.precision=bf16 device=cuda
# Wheels that the machine lacks: as in gpu.sh. The same study goes on where it was with the same KDLAB_ROOT.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:?OUT: a folder for the archive} seconds=${2:?SECONDS} study=${3:?STUDY}
shift 3
if compgen -G "$root/wheels/*.whl" >/dev/null; then
    python3 -m pip install -q --no-index --no-deps "$root"/wheels/*.whl
fi
plugins=$(mktemp -d)
trap 'rm -r "$plugins"' EXIT
ln -s "$root/sweeps/hydra_plugins" "$plugins/hydra_plugins"
export PYTHONPATH="$root:$plugins${PYTHONPATH:+:$PYTHONPATH}" KDLAB_ROOT=${KDLAB_ROOT:-$(mktemp -d)} HF_HUB_OFFLINE=1
timeout --signal=INT "$seconds" python3 -m sweeps launch "$study" "$@" --wait --cancel-on-interrupt
python3 -m sweeps status "$study"
python3 -m analysis archive "$study" --out "$out/$study"
