import os
import sys

# `python -m` puts the current folder first on Python's path. What is imported from there is decided by user_modules.py.
if sys.path[:1] == [os.getcwd()] != [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]:
    del sys.path[0]

from trainer.cli import entry

entry()
