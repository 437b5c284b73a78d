"""Lion: steps of one size along the sign of a running mean of gradients.

Source: X. Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv 2302.06675, Algorithm 2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lion(Optimizer):
    """With the gradient g, the running mean m (0 at first) and the parameter θ, a step is

        u = sign(β1 m + (1 - β1) g);   θ ← θ - lr (u + weight_decay θ);   m ← β2 m + (1 - β2) g

    Every element moves by lr, so lr is 3 to 10 times smaller than AdamW's, and weight_decay as much larger. The state
    is half of AdamW's. params: parameters, or groups of them, of any floating-point dtype.
    """

    def __init__(
        self, params: Any, lr: float = 1e-4, betas: Sequence[float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step. closure: computes the loss again, with gradients; its value is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, [p.grad for p in parameters], group)
        return loss

    def _update(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        for p in parameters:
            if "exp_avg" not in self.state[p]:
                self.state[p]["exp_avg"] = torch.zeros_like(p)
        means = [self.state[p]["exp_avg"] for p in parameters]
        updates = torch._foreach_lerp(means, gradients, 1 - beta1)
        torch._foreach_sign_(updates)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - lr * group["weight_decay"])
        torch._foreach_add_(parameters, updates, alpha=-lr)
        torch._foreach_lerp_(means, gradients, 1 - beta2)
