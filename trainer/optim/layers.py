"""The layers of a model in their order, for rates that fall from the head to the input."""

from collections.abc import Iterator

from torch import nn

IN_ORDER = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
Layer = tuple[str, list[str]]  # its module's name, the full names of its parameters


def layers(model: nn.Module) -> list[Layer]:
    """The layers from the input to the head, in the order in which the model's modules were made.

    The model is opened into its modules, and so are a Sequential, ModuleList or ModuleDict and a module that holds more
    than half of all parameters; any other module is one layer. What has vectors only, a norm, belongs to the layer
    before it. Parameters of an opened module itself (a class token) belong to its first layer.
    """
    names = {id(p): name for name, p in model.named_parameters()}  # a tied one under its first name
    half = sum(p.numel() for p in model.parameters()) / 2
    found: list[Layer] = []
    for name, parameters in _parts(model, "", half):
        own = [names.pop(id(p)) for p in parameters if id(p) in names]
        if found and all(p.ndim < 2 for p in parameters):
            found[-1][1].extend(own)
        elif own:
            found.append((name, own))
    return found


def _parts(module: nn.Module, name: str, half: float) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """Yield (name, parameters) of each module that is not opened."""
    parameters = list(module.parameters())
    children = list(module.named_children())
    size = sum(p.numel() for p in parameters)
    if not children or not (not name or isinstance(module, IN_ORDER) or size > half):
        yield name, parameters
        return
    own = list(module.parameters(recurse=False))
    for child_name, child in children:
        for part, inner in _parts(child, f"{name}.{child_name}".lstrip("."), half):
            if inner:
                yield part, own + inner
                own = []
    if own:
        yield name, own


def depths(model: nn.Module) -> dict[str, tuple[int, str]]:
    """{full name of a parameter: (how many layers are between it and the head: 0 for the head's own, its layer)}."""
    every = layers(model)
    return {name: (len(every) - 1 - n, layer) for n, (layer, names) in enumerate(every) for name in names}
