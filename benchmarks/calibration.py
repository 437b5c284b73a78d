"""What calibrate=true gains on rows that nothing was fitted to: NLL and ECE of the test split, of over-trained models.

python benchmarks/calibration.py [seeds]

Each seed draws the weights, the test rows and the validation rows anew. monitor=train/loss keeps the last weights.
"""

import contextlib
import io
import sys
from statistics import fmean

import torch

import trainer
from trainer.inference import labelled, model
from trainer.loop import predict
from trainer.verbs.open_run import open_run

LONG = ["epochs=150", "monitor=train/loss", "optimizer.lr=0.01", "calibrate=true", "dataset.test_fraction=0.4"]
QUICK = ["threads=1", "device=cpu", "report=false", "guards=none"]
DATA = {
    "digits, a tenth of the rows": ["dataset=digits", "dataset.fraction=0.1"],
    "breast_cancer": ["dataset=breast_cancer"],
    "spirals, not over-trained": ["dataset=spirals"],
}


def main() -> None:
    """Print a line for each data set."""
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{'':<30}{'lower NLL':>12}{'NLL':>16}{'ECE':>16}{'temperature':>16}{'same answers':>14}")
    for name, words in DATA.items():
        before, after, temperatures, same = zip(*(measured(words, seed) for seed in range(num_seeds)), strict=True)
        lower = sum(b["nll"] > a["nll"] for b, a in zip(before, after, strict=True))
        nll, ece = (
            " ".join(f"{fmean(one[score] for one in scores):.4f}" for scores in (before, after))
            for score in ("nll", "ece")
        )
        span = f"{min(temperatures):.2f} to {max(temperatures):.2f}"
        print(f"{name:<30}{lower:>9}/{num_seeds}{nll:>16}{ece:>16}{span:>16}{sum(same):>11}/{num_seeds}", flush=True)


def measured(words: list[str], seed: int) -> tuple[dict[str, float], dict[str, float], float, bool]:
    """(Scores before, after, the temperature, whether all answers are the same)."""
    seeds = [f"seed={seed}", f"dataset.split_seed={seed}", f"dataset.test_seed={seed}"]
    with contextlib.redirect_stdout(io.StringIO()):
        done = trainer.train([*words, *LONG, *QUICK, *seeds])
    found = done.summary["calibration"]
    run = open_run(str(done.run_dir), trust_it=False)
    trained = model.load(run.folder, run.config)
    same = True
    for _, logits, _, _ in predict(trained, labelled.open_own(run.config, trained, None, "test", download=False)):
        guess = trained.task.answer(trained.task.calibrated(logits)).argmax(1)
        same &= torch.equal(guess, logits.argmax(1))
    return found["before"], found["after"], found["temperature"], same


main()
