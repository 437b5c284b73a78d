"""What the fork server imports once. Making an optimizer brings in a thousand modules more."""

import torch

import trainer.diagnosis.fingerprint
import trainer.report.picture  # noqa: F401

torch.set_num_threads(1)
torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)
