"""JAX and optax: a whole epoch in one jitted scan over the batches, data on the device."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import job
import optax

args = job.settings()
x, y, val_x, val_y = (jnp.asarray(part.numpy()) for part in job.tensors(args.digits))
optimizer = optax.adam(job.LR)


def start(key: Any) -> dict[str, Any]:
    """Weights as torch's Linear begins with."""
    params = {}
    for number, (inputs, outputs) in enumerate([(x.shape[1], 128), (128, 10)]):
        key, first, second = jax.random.split(key, 3)
        bound = inputs**-0.5
        params[f"w{number}"] = jax.random.uniform(first, (inputs, outputs), minval=-bound, maxval=bound)
        params[f"b{number}"] = jax.random.uniform(second, (outputs,), minval=-bound, maxval=bound)
    return params


def loss_fn(params: dict[str, Any], x: Any, y: Any) -> Any:
    """Mean cross-entropy."""
    hidden = jax.nn.relu(x @ params["w0"] + params["b0"])
    logits = hidden @ params["w1"] + params["b1"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def step(carry: Any, rows: Any) -> Any:
    """One batch."""
    params, state = carry
    loss, gradients = jax.value_and_grad(loss_fn)(params, x[rows], y[rows])
    updates, state = optimizer.update(gradients, state, params)
    return (optax.apply_updates(params, updates), state), loss


@partial(jax.jit, donate_argnums=(0, 1))
def epoch(params: Any, state: Any, key: Any) -> Any:
    """All batches of an epoch, the last and shorter one too."""
    order = jax.random.permutation(key, len(x))
    full = len(x) // args.batch * args.batch
    carry, losses = jax.lax.scan(step, (params, state), order[:full].reshape(-1, args.batch))
    total = losses.sum() * args.batch
    if full < len(x):
        carry, loss = step(carry, order[full:])
        total += loss * (len(x) - full)
    return *carry, total / len(x)


validate = jax.jit(loss_fn)
params = start(jax.random.key(0))
state = optimizer.init(params)
report = job.Report()
for number in range(args.epochs):
    params, state, loss = epoch(params, state, jax.random.key(number))
    val_loss = float(validate(params, val_x, val_y))
    report.epoch()
report.end(loss, val_loss)
