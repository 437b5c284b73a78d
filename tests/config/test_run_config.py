"""Somebody else's run folder: opening it runs nothing, writes nothing outside it, and tells no secrets."""

import os
from pathlib import Path

import pytest
import yaml
from conftest import config

from trainer.config import run_config, trust
from trainer.config.run_config import read_config
from trainer.disk import layout, signature
from trainer.errors import ConfigError, StorageError, TrainerError

SECRET = "swordfish-7f3c"


@pytest.fixture(scope="module")
def plain_config() -> dict:
    import dataclasses

    return dataclasses.asdict(config("dataset=iris", "model.hidden=[4]", "threads=1", "max_steps=2"))


def folder_with(tmp_path: Path, data: dict | str) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    text = data if isinstance(data, str) else yaml.safe_dump(data)
    (folder / layout.CONFIG).write_text(text)
    return folder


TARGETS = [
    *(f"{group}:{target}" for group in ("model", "dataset", "loss", "optimizer", "scheduler") for target in (
        "os.system", "builtins.eval", "subprocess.Popen", "evil.Net",
    )),
    "model:torch.load", "model:torch.hub.load", "model:torch.nn.modules.module.torch.hub.load",
    "model:torch.nn.functional.relu", "model:torch.optim.SGD", "model:trainer.disk.storage.write_file",
    "model:trainer.models.mlp.sys.exit", "model:trainer.run.launch.os.system", "model:torch.nn.Module.load_state_dict",
    "model:torch.nn.Linear\n", "model:torch.nn.Liné", "model:torchvision.models.get_model",
    "model:torchvision.models.resnet.load_state_dict_from_url", "model:numpy.load", "loss:torch.nn.Parameter",
    "optimizer:torch.optim.lr_scheduler.StepLR", "dataset:trainer.data.vision.Path",
    "dataset:trainer.data.embedded.np.load", "dataset:trainer.data.splits.Splits",
    "dataset:torchvision.datasets.CIFAR10",
]  # fmt: skip

TEXTS = {
    "tag": "model: !!python/object/apply:os.system ['touch /tmp/x']",
    "tag of a name": "model: !!python/name:os.system",
    "own tag": "model: !evil {}",
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]",
    "anchor": "epochs: &e 3",
    "merge": "base: &b {_target_: x}\nmodel:\n  <<: *b",
    "deep": "model: " + "[" * 5000,
    "deeper": "a: " + "{a: " * 200 + "1" + "}" * 200,
    "long": "epochs: 3\n#" + "x" * 2_000_000,
    "twice": "epochs: 1\nepochs: 2",
    "no mapping": "[1, 2]",
    "number as a key": "1: 2",
    "bytes": "seed: !!binary aGVsbG8=",
    "date": "seed: 2026-11-22",
    "not UTF-8": "seed: \udcff",
    "two documents": "a: 1\n---\nb: 2",
    "NUL": "a: '\0'",
}

CHANGES = {
    "environment": {"output_dir": "${oc.env:SECRET}"},
    "interpolation": {"seed": "${epochs}"},
    "hydra callbacks": {"hydra": {"callbacks": {"x": {"_target_": "os.system"}}}},
    "hydra logging": {"hydra": {"job_logging": {"handlers": {"h": {"()": "os.system"}}}}},
    "hydra run dir": {"hydra": {"run": {"dir": "/tmp/elsewhere"}}},
    "hydra without a target": {"hydra": {"job": {"env_set": {"PATH": "/evil"}}}},
    "defaults": {"defaults": [{"model": "evil"}]},
    "target at the top": {"_target_": "os.system"},
    "target inside a list": {"loader": [{"_target_": "os.system"}]},
    "target below a shipped model": {"model": {"_target_": "trainer.models.mlp.MLP", "x": {"_target_": "os.system"}}},
    "partial": {"model": {"_target_": "torch.nn.Linear", "_partial_": True, "y": {"_target_": "evil.f"}}},
    "weights": {"model": {"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"}},
    "legacy weights": {"model": {"_target_": "torchvision.models.resnet18", "pretrained": True}},
    "backbone": {"model": {"_target_": "torchvision.models.resnet18", "weights_backbone": "DEFAULT"}},
    "weights of a nested model": {
        "model": {"_target_": "torch.nn.Sequential", "x": {"_target_": "torchvision.models.resnet18", "weights": "a"}}
    },
    "a dataset that could download, nested": {
        "dataset": {"_target_": "trainer.data.images.Images", "path": {"_target_": "trainer.data.vision.MNIST"}}
    },
    "number as a target": {"model": {"_target_": 3}},
    "list as a target": {"model": {"_target_": ["os", "system"]}},
}


KNOWN = {
    "model": "torch.nn.Sequential", "dataset": "trainer.data.embedded.Iris", "loss": "torch.nn.MSELoss",
    "optimizer": "torch.optim.SGD", "scheduler": "torch.optim.lr_scheduler.SequentialLR",
}  # fmt: skip


def refused(folder: Path) -> bool:
    """Whether opening and checking the config ends in an error of ours, before anything is built."""
    from trainer.config.check import check

    try:
        check(read_config(folder))
    except TrainerError:
        return True
    return False


def cases() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [(text, tuple(text.split(":", 1))) for text in TARGETS]
    for text in TARGETS:  # the same inside a class that is known
        group, target = text.split(":", 1)
        for inside in ({"x": {"_target_": target}}, {"x": [[{"y": {"_target_": target}}]]}):
            found.append((f"{text} in {inside}", {group: {"_target_": KNOWN[group], **inside}}))
    return found + list(TEXTS.items()) + list(CHANGES.items())


def test_known_classes_may_stand_inside_one_another(plain_config) -> None:
    part = {"_target_": "torch.optim.lr_scheduler.LinearLR", "total_iters": "2epochs"}
    nested = {"scheduler": {"_target_": KNOWN["scheduler"], "schedulers": [part]}}
    nested["loss"] = {"_target_": "torch.nn.MSELoss", "x": {"_target_": "torch.nn.Identity"}}
    assert trust.strangers({**plain_config, **nested}) == []
    assert trust.strangers({**plain_config, "loss": {"_target_": "torch.nn.MSELoss", "x": part}}) != []


def test_hostile_configs_are_refused_and_nothing_happens(tmp_path, plain_config, watch, monkeypatch, capfd) -> None:
    import torch
    import torchvision  # noqa: F401 - imported before the watch begins

    monkeypatch.setenv("SECRET", SECRET)
    trust.strangers(plain_config)
    passed, seen = [], []
    for name, case in cases():
        data: dict | str
        if isinstance(case, tuple):
            data = {**plain_config, case[0]: {"_target_": case[1]}}
        else:
            data = {**plain_config, **case} if isinstance(case, dict) else ""
        folder = folder_with(tmp_path, data)
        if isinstance(case, str):
            (folder / layout.CONFIG).write_bytes(case.encode("utf-8", "surrogateescape"))
        watch.seen, watch.on = [], True
        try:
            passed += [] if refused(folder) else [name]
        finally:
            watch.on = False
        seen += [(name, entry) for entry in watch.seen]
    out = "".join(capfd.readouterr())
    print(f"hostile configs: {len(cases()) - len(passed)} of {len(cases())} refused")
    assert len(cases()) >= 50
    assert passed == []
    assert seen == []
    assert SECRET not in out
    assert torch is not None


def test_the_watch_sees_what_it_should(tmp_path, watch) -> None:
    watch.seen, watch.on = [], True
    os.system("true")
    (tmp_path / "x").write_text("")
    watch.on = False
    assert {event for event, _ in watch.seen} == {"os.system", "open"}


def test_links_and_pipes_are_not_read(tmp_path, plain_config) -> None:
    folder = folder_with(tmp_path, plain_config)
    path = folder / layout.CONFIG
    text = path.read_bytes()
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(text)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="plain file"):
        read_config(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match="plain file"):
        read_config(folder)


@pytest.mark.slow
def test_shipped_configs_need_no_trust(plain_config) -> None:
    from trainer.config import files

    for group, options in files.options([files.shipped()]).items():
        for option in set(options) - {"own"} if group in trust.NAMES else []:
            words = ["seed=0", f"{group}={option}"] if group != "dataset" else [f"dataset={option}", "seed=0"]
            from trainer.config.compose import compose
            from trainer.config.source import Source

            data = compose(Source(words, files.roots())).data
            assert trust.strangers(data) == [], (group, option)
    for target in ("torch.nn.Flatten", "torchvision.models.resnet18"):
        assert trust.strangers({**plain_config, "model": {"_target_": target, "weights": None}}) == []


# --- your own classes


def own_folder(tmp_path: Path, plain_config: dict) -> Path:
    folder = folder_with(tmp_path, {**plain_config, "model": {"_target_": "my_models.Net"}})
    signature.sign(folder, layout.CONFIG, (folder / layout.CONFIG).read_bytes())
    return folder


def test_your_own_class_needs_your_own_signature(tmp_path, plain_config) -> None:
    folder = own_folder(tmp_path, plain_config)
    key = signature.key_file()
    assert key.stat().st_mode & 0o777 == 0o600
    assert read_config(folder).trusted

    config_file = folder / layout.CONFIG
    whole = config_file.read_bytes()
    config_file.write_bytes(whole.replace(b"epochs: 20", b"epochs: 21"))
    with pytest.raises(ConfigError, match=r"my_models\.Net") as caught:
        read_config(folder)
    assert caught.value.hint.endswith("--trust")
    config_file.write_bytes(whole)
    assert read_config(folder).trusted

    key.chmod(0o644)
    with pytest.raises(ConfigError):
        read_config(folder)
    key.unlink()
    with pytest.raises(ConfigError):
        read_config(folder)


def test_trust_names_what_it_imports(tmp_path, plain_config, capsys) -> None:
    folder = folder_with(tmp_path, {**plain_config, "model": {"_target_": "my_models.Net"}})
    assert read_config(folder, trust_it=True)["model"]["_target_"] == "my_models.Net"
    assert "model._target_=my_models.Net" in capsys.readouterr().err


def test_a_kill_between_signature_and_config_keeps_the_old_one_valid(tmp_path, plain_config) -> None:
    folder = own_folder(tmp_path, plain_config)
    for attempt in range(3):
        signature.sign(folder, layout.CONFIG, b"a config that was never written %d" % attempt)
    assert read_config(folder).trusted


@pytest.mark.slow
def test_a_run_of_your_own_class_resumes_until_a_byte_changes(tmp_path, cli) -> None:
    (tmp_path / "my_models.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, in_features, num_classes):\n"
        "        super().__init__(nn.Linear(in_features, num_classes))\n"
    )
    done = cli("train", "model=own", "model._target_=my_models.Net", "dataset=iris", "max_steps=4", "report=false")
    assert done.returncode == 0, done.stderr
    done = cli("resume", "latest", "max_steps=6")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "outputs/latest/config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1", 1))
    for verb in ("resume", "eval"):
        done = cli(verb, "latest", *(["max_steps=8"] if verb == "resume" else []))
        assert done.returncode == 2
        assert "my_models.Net" in done.stderr
        assert "--trust" in done.stderr
    assert cli("eval", "latest", "--trust").returncode == 0


def test_what_trainer_writes_is_plain(plain_config) -> None:
    shared = [1, 2]
    again = run_config.parse(run_config.dump({"a": shared, "b": shared, "c": 1e-8}), Path("x"))
    assert again == {"a": [1, 2], "b": [1, 2], "c": 1e-8}
