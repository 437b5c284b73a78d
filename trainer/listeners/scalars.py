"""The numbers of an event by the names under which TensorBoard and MLflow show them, each once a step."""

from trainer.events import Evaluated, Event, Stepped


def scalars(event: Event, log_every: int) -> dict[str, float]:
    """step/loss, step/lr and step/grad_norm of every `log_every`th step; an evaluation's metrics; {} for the rest."""
    if isinstance(event, Evaluated):
        return dict(event.metrics)
    if not isinstance(event, Stepped) or event.step % log_every:
        return {}
    norm = {"step/grad_norm": float(event.norm)} if event.norm is not None else {}
    return {"step/loss": event.loss.item(), "step/lr": event.lr, **norm}
