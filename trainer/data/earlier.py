"""What an earlier start of a run stored about its data, and what follows for its rows now."""

from collections.abc import Callable
from dataclasses import dataclass

from trainer.data.fingerprint import Fingerprint
from trainer.data.preprocessing import Preprocessing
from trainer.errors import ConfigError
from trainer.text import cut

NAMED = 3  # differences that an error names


@dataclass(frozen=True)
class Earlier:
    """fingerprint: None in a run of version 0.1.0, which stored none. may_differ: whether the data may have changed
    since: rows that are known again then keep their roles."""

    preprocessing: Preprocessing
    fingerprint: Fingerprint | None
    may_differ: bool = False

    def settle(self, now: Fingerprint, complete: Callable[[], None] = lambda: None) -> list[str]:
        """Give the rows of `now`, whose roles are newly drawn, the roles that they had, and return lines for the header
        about what has changed. Raises ConfigError if it may not.

        complete: reads what has not been read yet, so that every row is known.
        """
        before = self.fingerprint
        if before is None:
            return []
        differences = now.differences(before)
        if not differences:
            now.roles = before.roles
            now.parts.expect(before.parts)
            return []
        text = "; ".join(differences[:NAMED])
        text += f"; and {len(differences) - NAMED} more differences" if len(differences) > NAMED else ""
        if not self.may_differ:
            raise ConfigError(
                f"the data of this run has changed: {text}",
                "put the old data back; or data=changed continues with the new data",
            )
        complete()
        now.roles = before.keep_roles(now.ids, now.roles)
        return [f"changed since the last start: {cut(text, 50)}", "rows that the run knows keep their split"]
