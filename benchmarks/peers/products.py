"""The limit: the bare matrix products of each training step, forward and backward, and nothing else.

--threads 0 is all cores.
"""

import sys

import job
import torch

threads = int(sys.argv.pop(sys.argv.index("--threads") + 1))
sys.argv.remove("--threads")
torch.set_num_threads(threads or torch.get_num_threads())
args = job.settings()
x, hidden, errors = torch.rand(args.batch, 784), torch.rand(args.batch, 128), torch.rand(args.batch, 10)
first, second = torch.rand(128, 784), torch.rand(10, 128)
out = [torch.empty(args.batch, 128), torch.empty(args.batch, 10), torch.empty(10, 128), torch.empty(128, 784)]
report = job.Report()
for _ in range(args.epochs):
    for _ in range(-(-60_000 // args.batch)):
        torch.mm(x, first.t(), out=out[0])
        torch.mm(hidden, second.t(), out=out[1])
        torch.mm(errors.t(), hidden, out=out[2])
        torch.mm(errors, second, out=out[0])
        torch.mm(hidden.t(), x, out=out[3])
    report.epoch()
report.end(float("nan"), float("nan"))
