"""Weights that torchvision and timm publish, from files made here. Nothing is fetched; a stored run asks for none."""

import re
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import yaml
from conftest import config
from drawn import draw
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.build import published
from trainer.build.build import build
from trainer.build.weight_keys import as_built
from trainer.cli import main
from trainer.disk import layout
from trainer.errors import ConfigError

QUICK = ["threads=1", "device=cpu", "report=false", "max_steps=1", "loader.batch_size=8"]
PICTURES = [*QUICK, "dataset=npz", "dataset.path=pictures.npz", "model=own"]
NAME, FILE = "torchvision.models.shufflenet_v2_x0_5", "shufflenetv2_x0.5-f707e7126e.pth"
SHUFFLENET = [*PICTURES, f"model._target_={NAME}"]
HEAD = ("fc.weight", "fc.bias")


@pytest.fixture(autouse=True)
def _pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twelve pictures of three classes, and empty caches."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, 3, 32, 32), dtype=np.uint8)
    np.savez("pictures.npz", x=pixels, y=np.arange(12) % 3)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def cached(state: dict[str, Tensor]) -> Path:
    path = Path("torch/hub/checkpoints") / FILE
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return path


def drawn(model: nn.Module) -> dict[str, Tensor]:
    """Weights that no seed of a run gives."""
    with torch.random.fork_rng():
        torch.manual_seed(99)
        return {
            name: torch.rand_like(value) if value.is_floating_point() else value + 7
            for name, value in model.state_dict().items()
        }


def check_loaded(found: dict[str, Tensor], fresh: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """A new head with the bits of a run without weights, and the rest from the file."""
    for name, value in found.items():
        assert torch.equal(value, fresh[name] if name in HEAD else state[name]), name


def test_torchvisions_weights_get_a_new_head_and_a_stored_run_needs_no_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = drawn(torchvision.models.shufflenet_v2_x0_5())
    path = cached(state)
    fresh = build(config(*SHUFFLENET, "+model.num_classes=null"))[0].model.state_dict()
    words = [*SHUFFLENET, "+model.weights=DEFAULT"]
    check_loaded(build(config(*words))[0].model.state_dict(), fresh, state)

    assert main(["train", *words]) == 0
    out = re.sub(r"\n +", " ", capsys.readouterr().out)
    assert "weights  336 of 338 tensors from ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1; new: fc.*" in out
    assert "fc.weight is 1000×1024 there, 3×1024 here" in out
    assert "pictures of 32×32; ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1 was trained on 224×224" in out
    assert "normalised by mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225 the run's are by mean 0.49" in out
    assert f"{FILE} is not the published file" in out
    run = Path("outputs/latest").resolve()
    stored = yaml.safe_load((run / layout.CONFIG).read_text())
    assert stored["model"] == {"_target_": NAME, "num_classes": 3}
    assert Path(stored["init_from"]).samefile(path)

    path.unlink()
    assert main(["eval", "latest"]) == 0
    assert main(["resume", "latest", "max_steps=2"]) == 0


def test_a_node_of_an_earlier_version_is_built_without_its_weights() -> None:
    node = {"_target_": NAME, "weights": "IMAGENET1K_V1", "num_classes": 1000, "progress": False}
    assert published.bare(node) == {"_target_": NAME, "num_classes": 1000}
    assert published.bare({"_target_": "my.Net", "weights": "w.pt"}) == {"_target_": "my.Net", "weights": "w.pt"}
    found = published.bare({"_target_": "torchvision.models.segmentation.fcn_resnet50", "weights": "DEFAULT"})
    assert found["weights_backbone"] is None  # torchvision would download it
    assert published.bare({"_target_": "torchvision.models.googlenet", "weights": "DEFAULT"})["transform_input"]


def test_weights_that_are_not_there_are_named_with_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, path: str, *rest: object, **options: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ConfigError, match=r"is not in .*torch/hub/checkpoints, and cannot be downloaded") as error:
        build(config(*SHUFFLENET, "+model.weights=DEFAULT"))
    assert error.value.hint == f"put {FILE} there, from https://download.pytorch.org/models/{FILE}"
    with pytest.raises(ConfigError, match="is not read, since the config is not signed"):
        build(config(*SHUFFLENET, "+model.weights=DEFAULT"), download=False)


@pytest.mark.parametrize(
    ("words", "text", "hint"),
    [
        (["+model.weights=DEFALT"], "has IMAGENET1K_V1, DEFAULT", "model.weights=DEFAULT"),
        (["+model.weights=DEFAULT", "init_from=w.pt"], "init_from and model.weights both name", "init_from=null"),
    ],
)
def test_what_is_not_published_is_refused(words: list[str], text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        build(config(*SHUFFLENET, *words))
    assert error.value.hint == hint


def test_grey_pictures_are_refused_with_the_key_that_gives_them_colours(tmp_path: Path) -> None:
    draw(tmp_path / "photos")
    words = [
        *QUICK,
        "dataset=images",
        "dataset.path=photos",
        "dataset.grey=true",
        "model=own",
        f"model._target_={NAME}",
    ]
    with pytest.raises(ConfigError, match="to have 3 channels") as error:
        build(config(*words))
    assert error.value.hint == "dataset.grey=false"


def test_the_published_names_of_densenets_are_those_of_today() -> None:
    """Its files say norm.1 where the model says norm1."""
    with torch.device("meta"):
        model = torchvision.models.densenet121()
    names = list(model.state_dict())
    old = [re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name) for name in names]
    assert sum(a != b for a, b in zip(old, names, strict=True)) == 58 * 12
    assert list(as_built(dict.fromkeys(old, torch.ones(1)), model)) == names
    assert list(as_built(dict.fromkeys(old, torch.ones(1)), nn.Linear(1, 1))) == old


TIMM = [*PICTURES, "model._target_=timm.create_model", "+model.model_name=test_resnet"]
HUB = "hub/models--timm--test_resnet.r160_in1k"


@pytest.mark.optional
@pytest.mark.parametrize(
    "words",
    [
        ["+model.checkpoint_path=w.safetensors"],
        ["+model.pretrained=true", "+model.pretrained_cfg_overlay={file: w.safetensors}"],
        ["+model.pretrained=true"],
    ],
    ids=["checkpoint_path", "overlay", "cache"],
)
def test_timms_weights_likewise(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timm = pytest.importorskip("timm")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(Path("hub").resolve()))
    fresh = build(config(*TIMM, "+model.num_classes=null"))[0].model.state_dict()
    state = drawn(timm.create_model("test_resnet"))
    files = [Path("w.safetensors")]
    if len(words) == 1 and "pretrained" in words[0]:
        files = [Path(HUB, "snapshots/abc/model.safetensors"), Path(HUB, "refs/main")]
        for file in files:
            file.parent.mkdir(parents=True)
        files[1].write_text("abc")
    save_file(state, files[0])
    assert main(["train", *TIMM, *words]) == 0
    run = Path("outputs/latest").resolve()
    begun = load_file(run / "checkpoints/step-00000000/weights.safetensors")
    check_loaded(begun, fresh, state)
    out = re.sub(r"\n +", " ", capsys.readouterr().out)
    assert "90 of 92 tensors from test_resnet; new: fc.*" in out
    assert "test_resnet was trained on 160×160" in out
    stored = yaml.safe_load((run / layout.CONFIG).read_text())["model"]
    assert stored.pop("pretrained_cfg_overlay", {}) == {}
    assert stored == {"_target_": "timm.create_model", "num_classes": 3, "model_name": "test_resnet"}
    files[0].unlink()
    assert main(["eval", "latest"]) == 0
    assert main(["resume", "latest", "max_steps=2"]) == 0


@pytest.mark.optional
def test_timms_weights_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    import huggingface_hub

    asked = []

    def offline(url: str) -> None:
        raise OSError("no network")

    def download(*names: str, local_files_only: bool = False) -> str:
        asked.append(local_files_only)
        raise OSError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", offline)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(ConfigError, match="is not in Hugging Face's cache") as error:
        build(config(*TIMM, "+model.pretrained=true"))
    assert asked == [True]  # a download would try again and again
    assert "https://huggingface.co/timm/test_resnet.r160_in1k/resolve/main/model.safetensors" in error.value.hint
    with pytest.raises(ConfigError, match=r"there is no file w\.pt") as error:
        build(config(*TIMM, "+model.checkpoint_path=w.pt"))
    assert error.value.hint == "model.checkpoint_path=null"
