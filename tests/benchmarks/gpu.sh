#!/usr/bin/env bash
# What only a GPU can tell, in at most eight minutes: the questions of on_gpu.py, and peers.py.
#
#   tests/benchmarks/gpu.sh OUT                      on the GPU that is there
#   tests/benchmarks/gpu.sh OUT --device cpu --tiny  the same steps where there is none
#
# OUT gets questions.txt, peers.json and peers.md. The machine needs PyTorch and transformers; what else
# it lacks comes as wheels from the folder `wheels` beside this checkout, if there is one:
#   pip download --only-binary :all: --no-deps -d wheels hydra-core omegaconf antlr4-python3-runtime \
#       pydantic pydantic-core annotated-types typing-inspection pandas scikit-learn textbrewer tensorboard accelerate
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:?OUT: a folder for the results} device=cuda tiny=
shift
while [ $# -gt 0 ]; do
    case $1 in
        --device) device=$2; shift 2 ;;
        --tiny) tiny=1; shift ;;
        *) echo "unknown: $1" >&2; exit 2 ;;
    esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
if compgen -G "$root/wheels/*.whl" >/dev/null; then
    python3 -m pip install -q --no-index --no-deps "$root"/wheels/*.whl
fi
# kdlab needs no installation but for Hydra's plugin, which is found on the path.
plugins=$(mktemp -d)
trap 'rm -r "$plugins"' EXIT
ln -s "$root/sweeps/hydra_plugins" "$plugins/hydra_plugins"
export PYTHONPATH="$root:$plugins${PYTHONPATH:+:$PYTHONPATH}"
failed=0
timeout 240 python3 "$root/tests/benchmarks/on_gpu.py" --device "$device" ${tiny:+--small} \
    2>"$out/questions.err" | tee "$out/questions.txt" || failed=1
size=(--rows 2000 --repeats 2 --kinds logits cls)
[ -z "$tiny" ] || size=(--rows 64 --repeats 1 --kinds logits --systems "TextBrewer, README" "kdlab, one run")
timeout 300 python3 "$root/tests/benchmarks/peers.py" --synthetic --device "$device" "${size[@]}" \
    --out "$out/peers.json" 2>"$out/peers.err" | tee "$out/peers.md" || failed=1
exit $failed
