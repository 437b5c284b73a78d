"""What a config asks of training pictures. Imports no torch."""

from trainer.config.schema import Augment, Config

PLACES = ("flip", "shift", "crop", "cutout")  # keys that move or cover pixels
LIGHT = ("brightness", "contrast")
MIXES = ("mixup", "cutmix")
IMAGES = "trainer.data.images.Images"


def words(asked: Augment) -> str:
    """What is augmented, for the header: 'flip, shift 2'; '' if nothing is."""
    numbers = {name: getattr(asked, name) for name in (*PLACES, *LIGHT, *MIXES)}
    parts = [name if value is True else f"{name} {value:g}" for name, value in numbers.items() if value]
    return ", ".join([*parts, *_own(asked)])


def decodes_augmented(config: Config) -> bool:
    """Whether pictures of a folder are augmented as they are decoded; an `augment` of another Dataset is its own."""
    return config.dataset.get("augment") is True and config.dataset["_target_"] == IMAGES


def is_asked(config: Config) -> bool:
    """Whether training rows are augmented, by either key."""
    return bool(words(config.augment)) or decodes_augmented(config)


def mirroring(config: Config) -> str:
    """The setting that mirrors training pictures; '' if none does."""
    ways = {
        "augment.flip=true": config.augment.flip,
        "dataset.augment=true": decodes_augmented(config),
        "augment.transforms": any(name.endswith("HorizontalFlip") for name in _own(config.augment)),
    }
    return next((setting for setting, is_asked in ways.items() if is_asked), "")


def _own(asked: Augment) -> list[str]:
    """The names of its transforms."""
    return [str(node["_target_"]).rpartition(".")[2] for node in asked.transforms]
