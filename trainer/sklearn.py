"""trainer as estimators of scikit-learn: Classifier and Regressor, for pipelines, grids of settings and its metrics.

Only this module imports scikit-learn, and only who uses it imports this module; extra [sklearn].
"""

import copy
import dataclasses
import io
import tempfile
import time
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
from torch import nn

from trainer.config.files import roots
from trainer.config.given import Given
from trainer.config.source import Source
from trainer.errors import ConfigError
from trainer.python import objects, settings
from trainer.python.result import Result
from trainer.python.session import with_hints
from trainer.python.training import new_run

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("trainer.sklearn needs scikit-learn 1.6 or newer: pip install 'fiveline[sklearn]'") from error

Array = np.ndarray[Any, np.dtype[Any]]
QUIET = {"report": False, "guards": "none", "dataset__val_fraction": 0.0}  # unless they are set


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """model: the name of an option, a dict of its keys, or an nn.Module, of which each fit trains a copy. loss: the
    name of an option, an nn.Module or a function. optimizer: the name of an option. epochs: passes over the rows.
    seed: of the weights and the order of the rows. output_dir: the folder for run folders; None keeps none. settings:
    other keys of trainer's config by name, such as optimizer__lr=0.1 or early_stop__patience=5; dataset__val_fraction
    is 0 unless it is set.

    Once fitted: model_, the nn.Module; result_, a trainer.Result, whose folder is gone without output_dir.
    """

    def __init__(
        self,
        model: Any = "mlp",
        *,
        loss: Any = "auto",
        optimizer: str = "adamw",
        epochs: int = 100,
        seed: int = 0,
        output_dir: str | None = None,
        **settings: Any,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.epochs, self.seed, self.output_dir = epochs, seed, output_dir
        self.__dict__.update(settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name. deep: without meaning here."""
        names = [*self._get_param_names(), *(name for name in vars(self) if name[0] != "_" and name[-1] != "_")]
        return {name: getattr(self, name) for name in dict.fromkeys(names) if name != "n_features_in_"}

    def set_params(self, **params: Any) -> Self:
        """Change settings by name. Raises ValueError for one that trainer does not have."""
        for name, value in params.items():
            if name.split("__")[0] not in {*self._get_param_names(), *settings.KEYS}:
                raise ValueError(f"invalid parameter {name!r}: trainer has no such key; trainer config shows them all")
            setattr(self, name, value)
        return self

    def _fit(self, x: Array, y: Array, task: str) -> Self:
        params = self.get_params()
        model, loss = params.pop("model"), params.pop("loss")
        model = copy.deepcopy(model) if isinstance(model, nn.Module) else model
        loss = copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss
        keeps = params.pop("output_dir") is not None
        place: Any = nullcontext(self.output_dir) if keeps else tempfile.TemporaryDirectory(prefix="trainer-")
        with place as folder, with_hints():
            objs, theirs = objects.read(model, (x, y), loss, None, ())
            fixed = {"dataset__task": task, "output_dir": str(folder)}
            words = settings.words([*theirs.items(), *QUIET.items(), *params.items(), *fixed.items()], ())
            result = new_run(Source(words, roots([])), objs, (), time.perf_counter(), screen=io.StringIO(), sign=keeps)
        self.result_: Result = dataclasses.replace(result, given=Given())
        self.model_ = result.model
        return self

    def _fitted(self) -> Result:
        check_is_fitted(self)
        return self.result_

    def _checked(self, x: Any) -> Array:
        found: Array = validate_data(self, x, dtype=[np.float64, np.float32], reset=False)
        return found


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    __doc__ = f"A classifier of rows of numbers, trained by trainer.\n\n    {_Estimator.__doc__}"

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (N, features) and labels y (N,) of any kind. Raises ValueError for data that cannot be trained on,
        ConfigError for wrong settings."""
        x, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("Classifier needs rows of two classes or more; y has only one class")
        return self._fit(x, codes, "classes")

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class (N, classes), in the order of classes_."""
        return self._fitted().probabilities(self._checked(X))

    def predict(self, X: Any) -> Array:
        """The label of each row (N,)."""
        places = self.predict_proba(X).argmax(1)
        found: Array = self.classes_[places]
        return found


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    __doc__ = f"A regressor of rows of numbers, trained by trainer.\n\n    {_Estimator.__doc__}"

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (N, features) and numbers y (N,) or (N, targets). Raises as Classifier.fit does."""
        x, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        return self._fit(x, np.asarray(y, dtype=np.float64), "numbers")

    def predict(self, X: Any) -> Array:
        """Numbers (N,) or (N, targets), in the units of y."""
        found = self._fitted().predict(self._checked(X))
        if isinstance(found, dict):
            raise ConfigError("the model has several outputs, so it is no regressor", "trainer.train(…).predict(x)")
        return found.astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
