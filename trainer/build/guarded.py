"""The guards that run before training, on what build has made."""

from torch import nn
from torch.optim import Optimizer

from trainer.build import probe
from trainer.build.probe import Probed
from trainer.config import asked_augmentation
from trainer.config.schema import Config
from trainer.data.splits import Splits
from trainer.guards.before import before_training
from trainer.guards.finding import Finding
from trainer.guards.mirrored import mirrored
from trainer.guards.shared_rows import equal_rows


def findings(
    config: Config, model: nn.Module, optimizer: Optimizer, probed: Probed, splits: Splits, known: list[Finding]
) -> list[Finding]:
    """The findings that are known, and those of the guards, if the config asks for some. Raises ConfigError for one
    where they are strict."""
    if config.guards == "none":
        return known
    facts, is_standardised = splits.facts, splits.preprocessing.x.mean_and_std is not None
    how = (splits.sample, probed.call, probed.fit, probed.loss)
    found = before_training(model, probed.loss_fn, optimizer, *how, is_standardised=is_standardised)
    found = [finding for finding in found if finding.check != "frozen" or not config.freeze]
    found += equal_rows(splits.fingerprint)
    found += mirrored(facts.classes, facts.input_shape, asked_augmentation.mirroring(config))
    probe.refuse(all_found := [*known, *found], config.guards)
    return all_found
