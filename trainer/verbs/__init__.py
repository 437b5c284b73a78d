"""One file a verb, each `run(words) -> exit code`, imported when typed."""

VERBS = {
    "train": "train a model; with -m, a sweep over several values",
    "resume": "go on with a run from its last checkpoint, or with a sweep",
    "eval": "measure a run's best weights on the test or validation split",
    "predict": "what a run's best weights say of new rows: the input's columns and a prediction",
    "report": "results.png and report.html of a run or a sweep, made anew",
    "compare": "rank runs, or the jobs of a sweep, by a metric",
    "bench": "what pays here for a config: compile, autocast, threads, loaders",
    "verify": "prove on your own config that a killed run resumes to the same bits",
    "doctor": "check this config for the known traps, with one batch; --overfit learns it",
    "lr-find": "try learning rates from 1e-7 to 10 and suggest one",
    "runs": "list the runs below outputs/",
    "chapter": "the tutorial chapter's examples, expected beside got",
    "ls": "what can be picked: datasets, models, optimizers, …",
    "plan": "layers, steps, memory and time of a run; nothing trained",
    "config": "the resolved config, with what each key means; nothing is run",
    "export": "a run's model as ONNX, torch.export or safetensors, checked",
    "init": "a small project of your own: model, config, experiment, test",
    "completion": "code that makes bash or zsh complete all of these words",
}
