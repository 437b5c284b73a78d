"""One file a verb, imported when typed. Its docstring is its help, `parser()` returns its words and flags, and
`run(args)` carries it out and returns the exit code."""

VERBS = {
    "train": "train a model; with -m, a sweep over several values",
    "resume": "continue a run from its last checkpoint, or an unfinished sweep",
    "eval": "measure a run's best weights on the test or validation split",
    "predict": "predict new rows with a run's best weights",
    "report": "make results.png and report.html of a run or a sweep again",
    "compare": "rank runs, or the jobs of a sweep, by a metric",
    "bench": "measure whether compile, autocast, threads or loaders pay here",
    "profile": "show what the time of a step goes into, with a trace for Perfetto",
    "verify": "prove that your config resumes from a kill bit for bit",
    "doctor": "check a config for known traps; --overfit learns one batch",
    "lr-find": "try learning rates from 1e-7 to 10 and suggest one",
    "runs": "list the runs in outputs/",
    "chapter": "run the tutorial chapter's examples and check their values",
    "ls": "list the options: datasets, models, optimizers, …",
    "plan": "show layers, steps, memory and time of a run without training it",
    "config": "show the resolved config and what each key means",
    "schema": "write JSON schemas of your configs for an editor",
    "export": "write a run's model as ONNX, torch.export or safetensors, checked",
    "init": "start a small project: model, config, experiment, test",
    "completion": "print code that makes bash or zsh complete these words",
}
WORK_FIRST = ("train", "resume", "verify")  # an output that fails does not end them; the others' output is the result

OTHER_NAMES = {  # what other tools call a verb
    other: verb
    for verb, names in {
        "train": "fit run start launch learn",
        "train -m optimizer.lr=1e-3,1e-2": "sweep search tune grid multirun",
        "eval": "test evaluate validate val score",
        "predict": "infer inference",
        "resume": "continue restart",
        "report": "plot results show",
        "runs": "history logs list status",
        "bench": "benchmark speed",
        "profile": "profiler trace perfetto flamegraph",
        "doctor": "check debug",
        "lr-find": "find-lr lr-finder",
        "plan": "summary info describe dry-run",
        "init": "new create setup",
        "--version": "version v",
    }.items()
    for other in names.split()
}
