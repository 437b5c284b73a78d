"""What other tools call our keys, and what to type here."""

from collections.abc import Collection

KEYS = {  # our key: its other names
    "augment": "augmentation augmentations aug transform",
    "augment.transforms": "transforms",
    "accumulate": "grad_accum accumulation_steps gradient_accumulation_steps accum",
    "clip_grad_norm": "clip grad_clip clip_grad clip_norm max_grad_norm gradient_clip gradient_clip_val",
    "checkpoint.every_seconds": "save_every save_interval",
    "dataset": "data",
    "dataset.path": "path file data_path data_dir",
    "dataset.target": "target label labels target_column",
    "dataset.val_fraction": "val_split val_size validation_split validation_size valid_size test_size val_ratio",
    "device": "gpu gpus cuda accelerator devices",
    "epochs": "epoch num_epochs max_epochs n_epochs nepochs",
    "eval_every": "eval_interval eval_steps val_every",
    "loader.batch_size": "batch bs batchsize train_batch_size",
    "loader.num_workers": "workers",
    "log_every": "log_interval logging_steps log_every_n_steps",
    "loss": "criterion loss_fn",
    "max_steps": "steps num_steps iterations iters max_iter max_iters",
    "max_time": "time_limit timeout max_duration max_seconds",
    "model": "net network arch architecture",
    "model.hidden": "hidden_size hidden_sizes hidden_dim layers num_layers width",
    "metrics": "torchmetrics",
    "monitor": "metric",
    "monitor_mode": "mode direction",
    "nproc": "num_gpus world_size",
    "optimizer": "optim opt",
    "optimizer.lr": "learning_rate eta",
    "optimizer.momentum": "momentum",
    "optimizer.weight_decay": "wd l2 decay",
    "output_dir": "output out out_dir save_dir log_dir logdir outdir",
    "scheduler": "sched lr_scheduler lr_schedule",
    "seed": "random_seed random_state manual_seed",
}
SETTINGS = {  # a name whose value means something else here
    "amp": "autocast=bf16",
    "bf16": "autocast=bf16",
    "cuda=true": "device=cuda",
    "early_stopping": "early_stop.patience=5",
    "fp16": "autocast=fp16",
    "logger": "tensorboard=true",
    "mixed_precision": "autocast=bf16",
    "precision": "autocast=bf16",
    "use_amp": "autocast=bf16",
    "use_cuda": "device=cuda",
    "use_gpu": "device=cuda",
}
OURS = {name: key for key, names in KEYS.items() for name in names.split()}
NAMES = ("name", "type", "class", "kind")  # model.name=mlp is model=mlp


def setting(key: str, value: str, groups: Collection[str]) -> str | None:
    """`lr=0.1` as it is typed here, for a key that does not exist; None if no other tool has it.

    groups: those that take an option, such as model.
    """
    group, _, name = key.lower().replace("-", "_").rpartition(".")
    if group in groups and name in NAMES:
        return f"{group}={value}"
    if settled := SETTINGS.get(f"{name}={value.lower()}") or SETTINGS.get(name):
        return settled
    ours = OURS.get(name)
    return f"{ours}={value}" if ours and ours.startswith(group) else None
