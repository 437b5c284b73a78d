import os
import sys

# `python -m` puts the current folder first on Python's path. What is imported from there is decided by user_modules.py.
if sys.path[:1] == [os.getcwd()] != [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]:
    del sys.path[0]


def entry() -> None:
    """Run the command line. Signals are taken over before anything else is imported: Ctrl-C shows no traceback."""
    from trainer.processes import signals

    signals.install()
    from trainer import cli

    cli.entry()


if __name__ == "__main__":
    entry()
