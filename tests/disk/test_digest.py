"""Bits that rot in a finished run: noticed wherever the file is read, and named; the weights are written again."""

import json
import random
from pathlib import Path

import pytest
import safetensors.torch
import xxhash
from safetensors import safe_open

from trainer.cli import main
from trainer.disk import digest, layout
from trainer.disk.reading import Damaged

FILES = [layout.MODEL, layout.PREPROCESSING, layout.PREPROCESSING_FACTS]
OF_DATA = [layout.DATA_ROWS]  # read by eval, to say what was trained on; data.json is a copy for people


@pytest.fixture
def run(tmp_path: Path, capsys) -> Path:
    """A finished run on data that is standardised; its best weights are not its last."""
    words = ["dataset=wine", "epochs=4", "optimizer.lr=0.3", "threads=1", "device=cpu", "report=false"]
    assert main(["train", *words]) == 0
    summary = json.loads(Path("outputs/latest/summary.json").read_text())
    assert summary["best"]["step"] < summary["steps"]
    capsys.readouterr()
    return Path("outputs/latest").resolve().relative_to(tmp_path)


def flipped(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def says_version(run: Path, version: str) -> None:
    summary = json.loads((run / layout.SUMMARY).read_text())
    summary["versions"]["trainer"] = version
    (run / layout.SUMMARY).write_text(json.dumps(summary))


def test_the_digest_is_that_of_the_content(run: Path) -> None:
    with safe_open(run / layout.MODEL, "pt") as file:
        metadata, names = file.metadata(), sorted(file.keys())
    data = (run / layout.MODEL).read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {name: entry for name, entry in json.loads(data[8 : 8 + size]).items() if name != "__metadata__"}
    assert sorted(tensors) == names
    expected = xxhash.xxh3_128_hexdigest(json.dumps([{}, tensors], sort_keys=True).encode() + data[8 + size :])
    assert metadata == {"digest": expected}


def test_every_flipped_bit_is_noticed(run: Path) -> None:
    says_version(run, "0.4.0")
    chance, tries, noticed = random.Random(7), 0, 0
    for name in [*FILES, *OF_DATA]:
        path = run / name
        is_json, whole = path.suffix == ".json", path.read_bytes()
        read = digest.read_facts if is_json else digest.read_tensors
        expected = read(path, 2**30)
        for _ in range(100):
            path.write_bytes(flipped(whole, chance))
            tries += 1
            try:
                is_same = read(path, 2**30) == expected
                noticed += is_json and is_same  # 1e5 and 1E5 are one number
            except Damaged as error:
                noticed += str(path) in str(error)
        path.write_bytes(whole)
    print(f"flipped bits: {noticed} of {tries} noticed")
    assert noticed == tries


@pytest.mark.parametrize("name", [*FILES, *OF_DATA])
def test_a_damaged_file_ends_every_verb_that_reads_it(run: Path, name: str, capsys) -> None:
    path = run / name
    data = path.read_bytes()
    if path.suffix == ".json":
        path.write_bytes(data.replace(b"1", b"3", 1))
    else:
        path.write_bytes(data[:-41] + bytes([data[-41] ^ 0x40]) + data[-40:])
    for verb in [["eval"], ["export", "format=safetensors"]] if name in FILES else [["eval"]]:
        assert main([verb[0], str(run), *verb[1:]]) == 4, verb
        assert f"error: {run / name} is damaged: " in capsys.readouterr().err


@pytest.mark.parametrize("what", ["damaged", "missing"])
def test_resume_writes_the_best_weights_again(run: Path, what: str, capsys) -> None:
    path = run / layout.MODEL
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"\xff" + whole[-2:])
    if what == "missing":
        path.unlink()
    assert main(["resume", str(run)]) == 0
    assert f"{path} was missing or damaged; it is written again from the checkpoint" in capsys.readouterr().err
    assert safetensors.torch.load(path.read_bytes()).keys() == safetensors.torch.load(whole).keys()
    assert path.read_bytes() == whole


def test_a_later_run_without_a_digest_is_damaged_and_an_earlier_one_is_not(run: Path, capsys) -> None:
    path = run / layout.MODEL
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(path.read_bytes())))
    for version, code in (("0.1.0", 0), ("0.3.9", 0), ("0.4.0", 4), ("1.0.0", 4)):
        says_version(run, version)
        assert main(["eval", str(run)]) == code, version
    assert "the digest of its content is missing" in capsys.readouterr().err
    says_version(run, "0.1.0")
    assert main(["resume", str(run), "epochs=5"]) == 0  # from now on it is of this version
    assert digest.is_present(path.read_bytes())


def test_a_config_that_was_edited_is_named(run: Path, capsys) -> None:
    path = run / layout.CONFIG
    assert main(["eval", str(run)]) == 0
    assert capsys.readouterr().err == ""
    path.write_text(path.read_text().replace("log_every: 10", "log_every: 11"))
    assert main(["eval", str(run)]) == 0
    assert capsys.readouterr().err == f"warning: {path} has changed since the run wrote it\n"
    (run / "config.sig").write_bytes(b"0" * 64)  # a stranger's: nobody knows what they wrote
    assert main(["eval", str(run)]) == 0
    assert capsys.readouterr().err == ""
