"""`trainer bench`: what it offers, what it advises, and the real thing on a small config."""

from pathlib import Path

import pytest
from conftest import Cli

from trainer.diagnosis.measurement import Measured
from trainer.verbs import bench


def measured(rate: float, compile_seconds: float = 0.0, num_steps: int = 1000) -> Measured:
    return Measured(rate, 64 / rate, compile_seconds, 0, num_steps, 1, True)


def test_compiling_pays_when_the_run_is_long_enough() -> None:
    plain, compiled = measured(10_000), measured(20_000, compile_seconds=3.2)
    assert bench.pays_after(compiled, plain) == "1,000 steps"  # 6.4 ms against 3.2 ms a step
    assert not bench.worth(compiled, plain)
    assert bench.worth(compiled, measured(10_000, num_steps=1001))
    assert bench.pays_after(measured(9_000, compile_seconds=1), plain) == "never"


def test_the_best_of_each_kind_go_together_and_the_fastest_measured_is_advised() -> None:
    plain = measured(10_000, num_steps=100_000)
    variants = [
        ({"compile": "model"}, measured(15_000, 5.0)),
        ({"compile": "step"}, measured(30_000, 5.0)),
        ({"threads": 2}, measured(12_000)),
        ({"autocast": "bf16"}, measured(10_400)),
    ]
    assert bench.combine(variants, plain) == {"compile": "step", "threads": 2}
    *_, last = bench.advice(variants, plain, ["model.hidden=[64]"])
    assert last == "type    trainer train 'model.hidden=[64]' compile=step"
    *_, nothing, last = bench.advice(variants[3:], plain, [])
    assert "no change pays over 100,000 steps" in nothing
    assert last == "type    trainer train"


def test_kernels_are_tried_where_there_is_a_choice() -> None:
    data = {"channels_last": False, "matmul": "highest", "deterministic": True, "graph": "auto"}

    def tried(*, on_cuda: bool, convolves: bool, recorded: bool = True, **now: object) -> list[bench.Change]:
        unchanged = Measured(1e4, 1e-3, 0.0, 0, 100, 1, True, on_cuda, recorded, convolves)
        return list(bench.kernels(data | now, unchanged))

    channels_last, tf32, tuned = {"channels_last": True}, {"matmul": "high"}, {"deterministic": False}
    assert tried(on_cuda=False, convolves=False) == []
    assert tried(on_cuda=False, convolves=True) == [channels_last]
    assert tried(on_cuda=True, convolves=False) == [tf32, tuned]
    assert tried(on_cuda=True, convolves=True) == [channels_last, tf32, tuned]
    assert tried(on_cuda=True, convolves=False, recorded=False) == [tf32, tuned, {"graph": True}]
    others = [{"channels_last": False}, {"matmul": "highest"}, {"deterministic": True}]
    assert tried(on_cuda=True, convolves=True, **channels_last, **tf32, **tuned) == others


def test_what_a_change_costs_is_said_beside_its_gain() -> None:
    plain, fast = measured(10_000), measured(15_000)
    for change, price in [
        ({"matmul": "high"}, ", at lower precision"),
        ({"deterministic": False}, ", a resume may differ in its last bits"),
        ({"channels_last": True}, ""),
        ({"autocast": "none"}, ""),
    ]:
        assert next(bench.advice([(change, fast)], plain, [])) == f"1.50 times the samples/s{price}"


def test_it_says_where_its_figures_mean_nothing() -> None:
    plain, other = measured(10_000), measured(5_400)
    assert list(bench.doubt(plain, measured(10_400))) == []
    assert "differed by 85%" in next(bench.doubt(plain, other))


@pytest.mark.slow
def test_a_table_a_line_for_each_variant_and_no_folder(cli: Cli, tmp_path: Path) -> None:
    done = cli("bench", "--seconds", "0.2", "dataset=iris", "optimizer=rmsprop", timeout=400)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    variants = ["compile=model", "compile=step", "autocast=bf16", "loader.in_memory=false", "loader.num_workers"]
    for start in ["as it is", *variants]:
        assert any(line.startswith(start) for line in lines), start
    assert any("RMSprop" in line for line in lines)
    gains = {line[:22].strip(): line[32:39].strip() for line in lines if "×" in line[32:39]}
    assert gains["as it is"] == "1.00×"
    assert "autocast=bf16" in gains
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("type    trainer train dataset=iris optimizer=rmsprop")
    assert any(line.startswith("a step  data ") for line in lines)
    assert not (tmp_path / "outputs").exists()
