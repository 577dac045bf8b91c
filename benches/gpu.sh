#!/usr/bin/env bash
# What a GPU is asked for, in one go, the most telling first: steps and inference beside PyTorch with their memory,
# what mixed precision and checkpointing give, how busy the card is while a training makes its own pairs, and what
# several cards give. Each measurement is a process, which takes seconds to start and to compile its kernels.
#
#   cargo build --release && cargo bench --no-run --bench network
#   benches/gpu.sh results                    # a text file for each question, in results/
#
# Variables: DEVICE (wgpu), CARDS (how many there are), PYTHON (python3, with torch; without one hmorph runs alone), HMORPH
# (target/release/hmorph), NETWORK (the benchmark as a command), ROUNDS (1), CASES (SIZE:BATCH ...), SHAPE and STEPS of the
# trainings.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$#" -ne 1 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
out=$1
device=${DEVICE:-wgpu}
python=${PYTHON:-python3}
hmorph=${HMORPH:-target/release/hmorph}
read -ra network <<<"${NETWORK:-cargo bench --quiet --bench network --}"
rounds=${ROUNDS:-1}
# Four pairs of the largest size have tensors beyond the 2 GiB that wgpu allows; they are tried last.
cases=${CASES:-160x192x224:1 96x112x96:1 96x112x96:4 160x192:4 160x192x224:4}
shape=${SHAPE:-64,64,64}
steps=${STEPS:-1000}
mkdir -p "$out"

has() { command -v "$1" >/dev/null; }

# `network_steps NAME PYTHON OPTION...`: the network in every case.
network_steps() {
    local name=$1 peer=$2 case
    shift 2
    for case in $cases; do
        "${network[@]}" --device "$device" --python "$peer" --rounds "$rounds" --steps 8 \
            --size "${case%:*}" --batch "${case#*:}" "$@" 2>&1
    done | tee "$out/$name.txt"
}

# `training NAME DEVICE OPTION...`: seconds of a training that makes its own pairs, and how busy cards were, every second.
training() {
    local name=$1 devices=$2 watch= started problem= which=(-i 0)
    shift 2
    [[ $devices != *,* ]] || which=()
    if has nvidia-smi; then
        nvidia-smi "${which[@]}" --query-gpu=index,utilization.gpu,memory.used --format=csv,noheader,nounits -l 1 \
            >"$out/$name.busy.csv" &
        watch=$!
    fi
    started=$(date +%s%N)
    "$hmorph" train --config data/models/default-3d.toml --device "$devices" --force -o "$out/$name" \
        --set "synth_labels.shape=[$shape]" --set train.epochs=1 --set train.steps_per_epoch="$steps" \
        --set train.validation_pairs=0 "$@" >"$out/$name.log" 2>&1 || problem="failed: $(tail -n 1 "$out/$name.log")"
    # One that failed, as where a driver is missing, has ended by itself.
    [ -z "$watch" ] || kill "$watch" 2>/dev/null || true
    echo "$name: ${problem:-$(( ($(date +%s%N) - started) / 1000000 / steps )) ms a step, start included, on $devices}"
    if [ -n "$watch" ] && [ -z "$problem" ]; then
        # The middle of the run: kernels are compiled at its start. Lines without a number are what nvidia-smi complains of.
        awk -F', ' -v name="$name" '$2 ~ /^[0-9]+$/ { busy[++rows] = $2 }
            END { for (n = int(rows / 3); n < rows; n++) { sum += busy[n + 1]; count++ }
                  if (count) printf "%s: busy for %.0f %% of its last two thirds\n", name, sum / count }' \
            "$out/$name.busy.csv"
    fi
}

{
    date -u +%F
    git rev-parse HEAD 2>/dev/null || true
    "$hmorph" --version
    "$hmorph" info
    if has nvidia-smi; then nvidia-smi --query-gpu=name,driver_version --format=csv,noheader || true; fi
} | tee "$out/machine.txt"

network_steps plain "$python"
network_steps mixed none --mixed
{
    training pairs-on-device "$device"
    training pairs-on-host "$device" --set train.synthesis=host
    training mixed "$device" --set train.mixed_precision=true
    cards=${CARDS:-$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ' || true)}
    if [ "${cards:-0}" -gt 1 ]; then
        all=$(seq -s, -f "$device:%g" 0 $((cards - 1)))
        training one-card "$device:0" --set train.batch="$cards"
        training all-cards "$all" --set train.batch="$cards"
    fi
} | tee "$out/trainings.txt"
network_steps checkpointing none --checkpointing
