"""Which tensors of a file go into which of a model, by their names. Names and shapes only; nothing is loaded here."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Spec = tuple[tuple[int, ...], str]  # a tensor's shape, and its kind: float, complex or whole
Specs = Mapping[str, Spec]  # by name
MANY = 50  # names with one end, from which on it says nothing about which of them is meant


@dataclass(frozen=True)
class Matched:
    """pairs: {name in the model: name in the file}. Of the others: new, the model's, in its order; differs, those of
    them that the file has with another shape, and unused, the file's that the model does not have."""

    pairs: dict[str, str]
    new: list[str]
    differs: dict[str, str]
    unused: list[str]


def match(wanted: Specs, offered: Specs, renames: Mapping[str, str]) -> Matched:
    """Match a model's tensors with a file's. renames: see `renamed`. Raises ValueError for a rename that fits no name,
    or that gives two tensors one name."""
    names: dict[str, str] = {}
    for name in offered:
        new = renamed(name, renames)
        if new in names:
            raise ValueError(f"{names[new]} and {name} would both be called {new}")
        names[new] = name
    for prefix in renames:
        if not any(starts_with(name, prefix) for name in offered):
            raise ValueError(f"no tensor begins with '{prefix}'")
    pairs = {name: names[name] for name in wanted if name in names and offered[names[name]] == wanted[name]}
    differs = {name: names[name] for name in wanted if name in names and name not in pairs}
    unused = [old for new, old in names.items() if new not in wanted]
    return Matched(pairs, [name for name in wanted if name not in pairs], differs, unused)


def parts(prefix: str) -> list[str]:
    """The parts of a name or a prefix, whether or not that ends with a dot: [] for '' and '.'."""
    return [part for part in prefix.split(".") if part]


def starts_with(name: str, prefix: str) -> bool:
    """Whether a name begins with the parts of a prefix: layer1 is not the beginning of layer10.weight."""
    return parts(name)[: len(parts(prefix))] == parts(prefix)


def renamed(name: str, renames: Mapping[str, str]) -> str:
    """A name with the longest of the old prefixes that it begins with replaced by the new one."""
    fitting = [old for old in renames if starts_with(name, old)]
    if not fitting:
        return name
    old = max(fitting, key=lambda prefix: len(parts(prefix)))
    return ".".join(parts(renames[old]) + parts(name)[len(parts(old)) :])


def suggested(wanted: Specs, offered: Specs) -> tuple[str, str] | None:
    """(old prefix, new prefix) of the rename that fits most tensors; None where it would fit only one, or none. Each
    tensor of the file votes for the names that have most of its last parts."""
    ends: dict[tuple[str, ...], list[str]] = {}
    for name in wanted:
        for at in range(len(parts(name))):
            ends.setdefault(tuple(parts(name)[at:]), []).append(name)
    votes: Counter[tuple[str, str]] = Counter()
    for name, spec in offered.items():
        for at in range(len(parts(name))):
            end = tuple(parts(name)[at:])
            ending = ends.get(end, [])
            if len(ending) > MANY:
                break
            if fits := [other[: len(other) - len(".".join(end))] for other in ending if wanted[other] == spec]:
                votes.update((".".join(parts(name)[:at]), new.rstrip(".")) for new in fits)
                break
    votes = Counter({pair: count for pair, count in votes.items() if pair[0] != pair[1]})
    best = max(votes, key=lambda pair: (votes[pair], -len(pair[0])), default=None)
    return best if best is not None and votes[best] > 1 else None


def grouped(names: Sequence[str], among: Iterable[str]) -> Iterator[str]:
    """Yield the names in their order; `prefix.*` stands for several, where it is true of no other name in `among`."""
    others = [parts(name) for name in set(among) - set(names)]
    mixed = {tuple(name[:length]) for name in others for length in range(len(name))}
    inside = Counter(tuple(parts(name)[:length]) for name in names for length in range(1, 1 + len(parts(name))))
    seen = set[str]()
    for name in names:
        split = parts(name)
        prefix = next((split[:n] for n in range(1, len(split)) if tuple(split[:n]) not in mixed), None)
        word = name if prefix is None or inside[tuple(prefix)] == 1 else ".".join([*prefix, "*"])
        if word not in seen:
            yield word
        seen.add(word)
