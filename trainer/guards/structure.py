"""Mistakes in the structure of a model: parts that are unregistered, frozen, unoptimized, elsewhere or in eval mode."""

from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.guards.finding import Finding, names
from trainer.tasks.loss_modules import num_trained
from trainer.text import counted

MANY = 0.1  # share of the model's parameters from which on modules in a loss may be there by mistake


def unregistered(model: nn.Module) -> list[Finding]:
    """Tensors and modules in plain attributes, also in lists, tuples and dicts. Call it before the first forward."""
    known = {id(part) for part in (*model.modules(), *model.parameters(), *model.buffers())}
    tensors, modules = dict[str, None](), dict[str, None]()  # as ordered sets
    for path, module in model.named_modules():
        stems = {name.rpartition("_")[0] for name in (*module._parameters, *module._buffers)}
        for name, value in vars(module).items():
            if name.startswith("_") or name in stems:  # private to torch; weight beside weight_g, weight_orig, …
                continue
            items = (
                value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
            )
            for item in items:
                constant = isinstance(item, Tensor) and item is not value and not item.requires_grad
                if isinstance(item, (Tensor, nn.Module)) and id(item) not in known and not constant:
                    (modules if isinstance(item, nn.Module) else tensors)[f"{path}.{name}".lstrip(".")] = None
    findings, where = [], type(model).__name__
    if modules:
        what = f"{names(list(modules))} {'hold' if len(modules) > 1 else 'holds'} modules in a plain list or dict"
        why = "their parameters are not trained, not saved and not moved to the device"
        findings.append(Finding("unregistered", where, what, why, "nn.ModuleList([…]) or nn.ModuleDict({…})"))
    if tensors:
        what = f"{names(list(tensors))} {'are plain tensors' if len(tensors) > 1 else 'is a plain tensor'}"
        why = "the optimizer, state_dict and .to(device) ignore plain tensors"
        name = next(iter(tensors)).rpartition(".")[2]
        remedy = f"self.{name} = nn.Parameter(…) to train it, self.register_buffer({name!r}, …) to keep it"
        findings.append(Finding("unregistered", where, what, why, remedy))
    return findings


def frozen(model: nn.Module) -> list[Finding]:
    """Parameters with requires_grad=False: only a note, since fine-tuning freezes parameters. One beside a trained
    one in its module is left out: a layer that trains its bias alone means it."""
    own = [list(module.parameters(recurse=False)) for module in model.modules()]
    meant = {id(p) for parameters in own if any(p.requires_grad for p in parameters) for p in parameters}
    frozen_names = [name for name, p in model.named_parameters() if not p.requires_grad and id(p) not in meant]
    if not frozen_names:
        return []
    total = len(list(model.parameters()))
    what = f"{len(frozen_names)} of {total} parameters have requires_grad=False: {names(frozen_names)}"
    remedy = "parameter.requires_grad_(True), unless this is intended"
    return [Finding("frozen", type(model).__name__, what, "they do not change", remedy, note=True)]


def teacher(model: nn.Module, loss_fn: nn.Module) -> list[Finding]:
    """Modules in a loss with many parameters to train, as a teacher that nobody froze: only a note. A temperature or
    the proxies of classes are few, or parameters of the loss itself."""
    trained = {name: num_trained(module) for name, module in loss_fn.named_children()}
    total, own = sum(trained.values()), num_trained(model)
    if not total or total < MANY * own:
        return []
    which = [name for name, count in trained.items() if count]
    what = f"{names(which)} in it {'have' if len(which) > 1 else 'has'} {counted(total, 'parameter')} to train"
    why = f"they are trained with the {own:,} of the model; a teacher should stay as it is"
    remedy = f"self.{which[0]}.requires_grad_(False) in its __init__, unless this is intended"
    return [Finding("teacher", type(loss_fn).__name__, what, why, remedy, note=True)]


def outside_optimizer(model: nn.Module, optimizer: Optimizer) -> list[Finding]:
    """Parameters with requires_grad=True that the optimizer does not hold."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    left = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if not left:
        return []
    what = f"{names(left)} of the model {'are' if len(left) > 1 else 'is'} not among its parameters"
    why = "they are never updated: forward creates a new parameter on each call, or the optimizer left them out"
    remedy = "create parameters in __init__; in your own optimizer, pass all parameters to super().__init__"
    return [Finding("optimizer", type(optimizer).__name__, what, why, remedy)]


def elsewhere(model: nn.Module, loss_fn: nn.Module, x: Tree, y: Tree) -> list[Finding]:
    """Parameters, buffers or a batch on another device than the first parameter's."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    places = {f"model.{name}": t.device for name, t in tensors if t.ndim}  # torch mixes devices for 0-dim tensors
    if not places:
        return []
    first = next(iter(places.values()))
    places |= {f"loss.{name}": t.device for name, t in loss_fn.named_buffers() if t.ndim}
    for what, part in (("inputs", x), ("targets", y)):
        places |= {f"the batch's {what}": leaf.device for leaf in tree.leaves(part)}
    other = [f"{name} on {device}" for name, device in places.items() if device != first]
    if not other:
        return []
    why = "one operation cannot take tensors from two devices"
    remedy = "leave .to() and device= out of the model: the run moves all of it to its device"
    return [Finding("device", type(model).__name__, f"{names(other)}; the rest is on {first}", why, remedy)]


def left_in_eval(model: nn.Module) -> list[Finding]:
    """Modules in eval mode while the model trains, except norms with frozen parameters, as in fine-tuning."""
    in_eval = [name for name, m in model.named_modules() if not m.training and _differs_in_eval(m)]
    what = f"{names(in_eval)} {'are' if len(in_eval) > 1 else 'is'} in eval mode while the model trains"
    remedy = "remove .eval() on parts from forward and __init__, or freeze them: requires_grad_(False)"
    if not model.training:
        what = "it is in eval mode while it trains"
        remedy = "remove self.eval() from forward; train() must pass its mode on to all parts"
    elif not in_eval:
        return []
    why = "dropout does nothing there, and batch norm uses its running statistics, which do not change"
    return [Finding("eval", type(model).__name__, what, why, remedy)]


def _differs_in_eval(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    norm = isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm))
    return norm and any(p.requires_grad for p in module.parameters())


def without_gradient(model: nn.Module) -> set[str]:
    """Names of the parameters without .grad after backward; empty if no parameter has one."""
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    missing = {name for name, p in trainable if p.grad is None}
    return missing if len(missing) < len(trainable) else set()


def never_a_gradient(model: nn.Module, missing: set[str], num_steps: int) -> list[Finding]:
    """missing: parameters that had no gradient in any of the first `num_steps` steps."""
    left = [name for name, _ in model.named_parameters() if name in missing]
    if not left:
        return []
    what = f"{names(left)} had no gradient in {counted(num_steps, 'step')}"
    why = "the loss does not depend on them: forward does not use them, or cuts the graph after them"
    remedy = "use them in forward, without .detach(), .data or torch.no_grad(), or remove them"
    return [Finding("gradient", type(model).__name__, what, why, remedy)]
