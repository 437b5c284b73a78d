"""Digests against bits that rot: a file of tensors carries one of its content in its own metadata, a file of facts in a
key of its own, so that one rename replaces both. They find accidents, not forgeries."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xxhash

from trainer.disk import layout, reading
from trainer.disk.reading import Damaged

KEY = "digest"  # in the metadata of a safetensors file
CHECKSUM = "checksum"  # in a JSON file
METADATA = "__metadata__"
SINCE = (0, 4, 0)  # the first version of trainer whose runs have digests


def with_digest(data: bytes) -> bytes:
    """The bytes of a safetensors file, with a digest of its tensors, their names and its metadata in the metadata."""
    header, body = _parts(data)
    metadata = header.get(METADATA, {}) | {KEY: _digest(header, body)}
    text = json.dumps({METADATA: metadata} | _tensors(header)).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, body))


def with_checksum(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts for a JSON file, with a checksum of them."""
    return facts | {CHECKSUM: _checksum(facts)}


def read_tensors(path: Path, most: int) -> bytes:
    """The bytes of a safetensors file in a run folder, at most `most`. Raises FileNotFoundError, and Damaged if they
    are not those that were written, or if they have no digest and the run's version wrote one."""
    data = reading.read_file(path, most)
    try:
        header, body = _parts(data)
        stored = header.get(METADATA, {}).get(KEY)
    except (ValueError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: its header cannot be read") from error
    _compare(path, stored, lambda: _digest(header, body))
    return data


def read_facts(path: Path, most: int) -> Any:
    """Plain data from a JSON file in a run folder, checked as read_tensors does."""
    facts = reading.read_json(path, most)
    if isinstance(facts, dict):
        _compare(path, facts.pop(CHECKSUM, None), lambda: _checksum(facts))
    return facts


def is_whole(path: Path) -> bool:
    """Whether a safetensors file of a run folder is there and not damaged."""
    try:
        read_tensors(path, 2**63)
    except (FileNotFoundError, Damaged):
        return False
    return True


def is_present(data: bytes) -> bool:
    """Whether the bytes of a safetensors file carry a digest."""
    return KEY in _parts(data)[0].get(METADATA, {})


def _compare(path: Path, stored: Any, actual: Callable[[], str]) -> None:
    if stored is None and _is_older(path.parent):
        return
    if stored is None:
        raise Damaged(f"{path} is damaged: the digest of its content is missing")
    if stored != actual():
        raise Damaged(f"{path} is damaged: its content does not match its digest")


def _is_older(folder: Path) -> bool:
    """Whether a run says that a version wrote it that knew no digests, or does not say which."""
    versions = layout.read_summary(folder).get("versions")
    version = reading.text(versions.get("trainer")) if isinstance(versions, dict) else ""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return numbers is None or tuple(map(int, numbers.groups())) < SINCE


def _parts(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header of a safetensors file, and the bytes of its tensors."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("the header is not a mapping")
    return header, memoryview(data)[8 + size :]


def _digest(header: dict[str, Any], body: memoryview) -> str:
    metadata = {name: text for name, text in header.get(METADATA, {}).items() if name != KEY}
    state = xxhash.xxh3_128(json.dumps([metadata, _tensors(header)], sort_keys=True).encode())
    state.update(body)
    return state.hexdigest()


def _tensors(header: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in header.items() if name != METADATA}


def _checksum(facts: dict[str, Any]) -> str:
    covered = {name: value for name, value in facts.items() if name != CHECKSUM}
    return xxhash.xxh3_128_hexdigest(json.dumps(covered, sort_keys=True).encode())
