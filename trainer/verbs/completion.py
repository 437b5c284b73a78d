"""Print completion code for a shell: eval "$(trainer completion bash)"."""

from argparse import Namespace

from trainer.errors import ConfigError
from trainer.verbs.arguments import Parser

# The words come from `trainer completion --line`, so they include your keys, configs and runs.
BASH = """\
# eval "$(trainer completion bash)", or that line in ~/.bashrc
_trainer() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$'\\n'
    local word=${line##*[[:space:]]} head=
    [[ $COMP_WORDBREAKS == *=* ]] && head=${word%"${word##*=}"}  # bash wants what follows the last =
    COMPREPLY=($("$1" completion --line "$line" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
}
complete -o nospace -o default -F _trainer trainer
"""

ZSH = """\
# eval "$(trainer completion zsh)", or that line in ~/.zshrc after compinit
_trainer() {
    local -a found
    found=("${(@f)$("$words[1]" completion --line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    if [[ -n $found[1] ]]; then compadd -Q -S '' -a found; else _files; fi
}
compdef _trainer trainer
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH}


def parser() -> Parser:
    parser = Parser("completion", "SHELL", __doc__)
    parser.add_argument("shell", nargs="?", metavar="SHELL", help="bash or zsh")
    parser.add_argument("--line", help="print the words that may come next on this command line")
    return parser


def run(args: Namespace) -> int:
    """Print the code that makes a shell complete trainer's words. Returns the exit code."""
    if args.line is not None:
        from trainer.verbs.candidates import candidates

        print("\n".join(candidates(args.line)))
    elif args.shell in SCRIPTS:
        print(SCRIPTS[args.shell], end="")
    else:
        text = (
            f"no completion for {args.shell}: there are bash and zsh"
            if args.shell
            else "completion needs the name of a shell, bash or zsh"
        )
        raise ConfigError(text, "trainer completion bash")
    return 0
