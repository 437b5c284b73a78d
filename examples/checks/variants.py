"""How the examples are changed where numbers should be exactly the same."""

EXACT = {  # so that nothing depends on how rows are shared out between processes
    "char_gpt": ["+model.dropout=0"],
    "digits": ["+model.dropout=0"],
    "pictures": ["+model.batch_norm=false"],
    "token_tags": ["+model.dropout=0"],
    "vae": ["+dataset.noise=true", "loader.in_memory=auto"],
}
COUPLED = "contrastive"  # its loss compares the rows of a batch with each other
RECURRENT = ("copying", "gru")  # torch.compile does not compile an RNN, GRU or LSTM
DRAWN = ("contrastive", "diffusion", "masked_lm", "vae")  # in these variants rows are drawn again when they are read


def exact(name: str) -> list[str]:
    """What is typed for an example without randomness of its own, in double precision."""
    return [*EXACT.get(name, []), "dtype=float64"]


def in_memory(name: str) -> str:
    """What is typed to keep an example's rows in memory, where that can be."""
    return f"loader.in_memory={str(name not in DRAWN).lower()}"
