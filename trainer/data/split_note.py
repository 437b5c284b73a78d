"""The line of the header that says which rows validate."""


def of(split: str, by: str | None, val_fraction: float, split_seed: int, *, own: bool = False) -> str:
    """split: the kind; by: the column or attribute that it depends on; own: whether there are files of validation."""
    share, seed = f"{100 * val_fraction:g}%", f"split_seed {split_seed}"
    if own:
        return "validation: files of their own"
    return (
        "validation: "
        + {
            "random": f"{share} of the rows, drawn at random ({seed})",
            "stratified": f"{share} of the rows of each class, drawn at random ({seed})",
            "group": f"about {share} of the rows, whole groups by {by} ({seed})",
            "time": f"the latest {share} of the rows by {by}",
            "column": f"the rows that {by} names",
        }[split]
    )
