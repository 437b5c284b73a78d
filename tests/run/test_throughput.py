"""The hint about waiting for data comes when the wait is worth a change, never after a moment of training."""

from conftest import config

from trainer.run.throughput import Throughput


def test_a_long_wait_is_a_hint_and_a_short_run_is_not() -> None:
    loader = config("loader.num_workers=0").loader
    assert Throughput(samples=100, seconds=0.02, waited=0.0114).hint(loader, cores=2) is None
    assert Throughput(samples=100, seconds=2.0, waited=0.3).hint(loader, cores=2) is None
    hint = Throughput(samples=100, seconds=2.0, waited=1.14).hint(loader, cores=2)
    assert hint == "the loop waited for data 57% of its time: try loader.num_workers=2"
