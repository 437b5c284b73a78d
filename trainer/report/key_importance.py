"""How much each key of a search decides whether a trial is among the best ones."""

from collections.abc import Mapping, Sequence

from trainer.config.search_space import Axis
from trainer.report.trials import DONE, Trial

FEWEST = 15  # trials: with fewer the order is that of chance
BEST = 5  # trials at least that count as the best; PED-ANOVA compares them with all


def importance(trials: Sequence[Trial], axes: Mapping[str, Axis], mode: str) -> tuple[list[tuple[str, float]], str]:
    """([(key, percent)], largest first; what the numbers mean, or why there are none).

    PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023), by optuna: how far the values of the best trials differ from
    those of all trials, key by key. axes: of the search, by key; mode: max or min.
    """
    done = [trial for trial in trials if trial.kind == DONE]
    if not axes:
        return [], "Unknown: the plan of this search does not hold its keys."
    if len(axes) == 1:
        return [], "A single key was searched."
    if len(done) < FEWEST:
        return [], f"Too few trials: {len(done)} have ended well, and below {FEWEST} this would be chance."
    try:
        import optuna
    except ImportError:
        return [], "Needs optuna: pip install 'fiveline[optuna]', then trainer report."
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        spaces = {key: axis.distribution(optuna) for key, axis in axes.items()}
        study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
        for trial in done:
            params = {key: text if axes[key].choices else axes[key].value(text) for key, text in trial.params.items()}
            study.add_trial(optuna.trial.create_trial(value=trial.value, params=params, distributions=spaces))
        share = max(0.1, BEST / len(done))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:  # a plan that was edited
        return [], f"Unknown: {error}"
    finally:
        optuna.logging.set_verbosity(level)
    text = f"PED-ANOVA over {len(done)} finished trials: what decides whether one is among the best {share:.0%}."
    return [(key, 100 * float(part)) for key, part in found.items()], text
