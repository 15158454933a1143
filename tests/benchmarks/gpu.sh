#!/usr/bin/env bash
# What only a GPU can tell, in at most eight minutes: memory.py, on_gpu.py, many_students.py, peers.py.
#
#   tests/benchmarks/gpu.sh OUT                      on the GPU that is there
#   tests/benchmarks/gpu.sh OUT --device cpu --tiny  the same steps where there is none
#
# OUT gets what each prints, and memory.json, many_students.json, peers.json. The machine needs PyTorch,
# transformers and what comes with them; what else it lacks comes as wheels from the folder `wheels`:
#   pip download --only-binary :all: --no-deps -d wheels hydra-core omegaconf==2.3.0 pydantic==2.12.5 \
#       pydantic-core==2.41.5 annotated-types typing-inspection datasets dill multiprocess xxhash submitit \
#       argcomplete POT
#   pip wheel --no-deps -w wheels antlr4-python3-runtime==4.9.3 textbrewer==0.2.1.post1
# (for another Python than here --python-version and --platform; POT, 33 MB, is for matching=emd alone).
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
. "$root/tests/benchmarks/bare_machine.sh"
# A benchmark by its name, for so many seconds at most; what it prints is in files of that name, and of
# the question that it is asked.
failed=$out/failed
rm -f "$failed"
bench() {
    local name=$1 seconds=$2 file=$1
    shift 2
    [ "${1:-}" != --only ] || file=$name.$2
    timeout "$seconds" python3 "$root/tests/benchmarks/$name.py" --device "$device" "$@" \
        >"$out/$file.txt" 2>"$out/$file.err" || echo "$file ended with $?" | tee -a "$failed"
    tail -n 40 "$out/$file.txt"
}
if [ -n "$tiny" ]; then
    bench on_gpu 400 --only repeated recorded resumed times work --small
    bench on_gpu 100 --only memory --small  # of a process on a CPU, whose heap does not shrink
    bench many_students 100 --sizes 2x128 --students 1 --precisions fp32 --ways "in turn" \
        --seconds 0.3 --out "$out/many_students.json"
    bench peers 180 --synthetic --rows 64 --repeats 1 --kinds logits \
        --systems "TextBrewer, README" "kdlab, one run" --out "$out/peers.json"
else
    # Bytes and bits do not depend on what runs beside.
    bench memory 160 --out "$out/memory.json" &
    for question in repeated recorded resumed waits memory; do
        bench on_gpu 160 --only $question &
    done
    wait
    bench on_gpu 90 --only work times
    bench many_students 80 --sizes 2x128 3x384 --students 1 8 32 --precisions fp32 \
        --ways "in turn" graphs --out "$out/many_students.json"
    bench peers 150 --synthetic --rows 4000 --repeats 1 --kinds logits --systems \
        "TextBrewer, README" "Trainer with a KD loss" "kdlab, cohort of 8" "kdlab, one run" \
        "TextBrewer, and bf16" "kdlab, cohort of 8, bf16" --out "$out/peers.json"
fi
[ ! -e "$failed" ]
