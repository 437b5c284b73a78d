"""What a user can mend. Each error is one short message and, where there is one, the thing to type instead."""


class TrainerError(Exception):
    """The run failed: exit code 1, and the parent of all below."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(TrainerError):
    """The command, the config or the data is wrong; nothing was started. key: the dotted one at fault, if one is."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message, hint)
        self.key = key


class Diverged(TrainerError):
    """The loss or a weight became NaN or infinite."""

    exit_code = 3


class StorageError(TrainerError):
    """The disk is full, read-only or unreadable."""

    exit_code = 4


class Interrupted(TrainerError):
    """A signal ended the program: 130 after SIGINT, 143 after SIGTERM."""

    def __init__(
        self, signal_number: int, message: str = "stopped before training began", hint: str | None = None
    ) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number
