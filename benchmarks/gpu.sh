#!/usr/bin/env bash
# What waits for a GPU: checked and measured in one go of under eight minutes. PYTHON names the interpreter (python3).
#
#     bash benchmarks/gpu.sh 2>&1 | tee gpu.txt
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH=$PWD:${PYTHONPATH:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

within() { # at most so many seconds, or those that are left of eight minutes
  local left=$((470 - SECONDS)) most=$1
  shift
  if ((left < 5)); then
    printf 'NOT REACHED  %s\n' "$*"
    return 1
  fi
  timeout $((most < left ? most : left)) "$@"
}

check() { # what it shows, then the words after trainer
  local what=$1 begun=$SECONDS
  shift
  if (cd "$scratch" && within 90 "$python" -m trainer "$@") >"$scratch/said" 2>&1; then
    printf 'ok      %-44s %3d s\n' "$what" $((SECONDS - begun))
  else
    failed=1
    printf 'FAILED  %-44s trainer %s\n' "$what" "$*"
    tail -n 5 "$scratch/said"
  fi
}

nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
"$python" -c "import torch; print('torch', torch.__version__, 'CUDA', torch.version.cuda)"

echo "a step: what waits for the GPU, what a graph changes, and samples/s of every way beside loops by hand"
within 200 "$python" benchmarks/gpu_steps.py --json "${OUT:-$scratch}/gpu_steps.json" || failed=1

gpu=(device=cuda report=false)
check "train" train "${gpu[@]}" epochs=2
check "autocast bf16" train "${gpu[@]}" model=cnn autocast=bf16 epochs=1
check "autocast fp16 with its scaler" train "${gpu[@]}" model=cnn autocast=fp16 epochs=1
check "killed and resumed, MLP with dropout" verify "${gpu[@]}" model.dropout=0.2 epochs=2
check "killed and resumed, CNN" verify "${gpu[@]}" model=cnn epochs=1
check "killed and resumed, compile=step" verify "${gpu[@]}" compile=step epochs=2
check "killed and resumed, compile=model" verify "${gpu[@]}" compile=model epochs=2
check "plan: memory and time" plan "${gpu[@]}" model=cnn
check "lr-find" lr-find "${gpu[@]}"
check "doctor" doctor "${gpu[@]}"
check "killed and resumed, channels_last, TF32" verify "${gpu[@]}" model=cnn channels_last=true matmul=high epochs=1
check "a sweep on one GPU" train -m "${gpu[@]}" seed=0,1 epochs=1
check "compare" compare

echo "the shortcuts around torch's optimizers, against torch's own way (s, whole runs in turns)"
for round in 1 2 3; do
  for shortcuts in 0 1; do
    begun=$(date +%s.%N)
    (cd "$scratch" && TRAINER_SHORTCUTS=$shortcuts within 60 "$python" -m trainer train "${gpu[@]}" epochs=40) \
      >"$scratch/said" 2>&1 || failed=1
    "$python" - "$shortcuts" "$begun" "$(date +%s.%N)" "$(grep '^speed' "$scratch/said" || true)" <<'PY'
import sys
shortcuts, begun, ended, speed = sys.argv[1:]
print(f"  TRAINER_SHORTCUTS={shortcuts}  {float(ended) - float(begun):6.2f}  {speed}")
PY
  done
done
echo "seconds an epoch of cifar10_fast beside airbench's (pip install airbench)"
within 150 "$python" benchmarks/cifar10_fast.py || failed=1

echo "kernels, a CNN on pictures of 32×32"
within 60 "$python" benchmarks/kernels.py || failed=1

echo "augmented training against unaugmented: at least 0.9 on a GPU"
within 60 "$python" benchmarks/augmentation.py --rounds 3 --device cuda || failed=1
exit $failed
