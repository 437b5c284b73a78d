"""The keys of conf/config.yaml. A group (dataset, model, …) is a mapping whose keys depend on its `_target_`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NewType

from trainer.config.durations import Duration, Time
from trainer.config.schema_key import key

DeviceName = NewType("DeviceName", str)
Target = dict[str, Any]  # `_target_` and the keyword arguments beside it
TARGETS = ("dataset", "model", "loss", "optimizer", "scheduler")  # the keys that hold one
Expect = Mapping[str, Any]  # see trainer/config/expectations.py
Metrics = list[Any]  # see trainer/config/asked_metrics.py
Transforms = list[dict[str, Any]]  # a `_target_` and its keyword arguments each
Listeners = Sequence[dict[str, Any]]  # the same


@dataclass
class Compiler:
    mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = key("of torch.compile")
    dynamic: bool | None = key("one graph for every batch size; null: torch decides, so a resume may not be exact")
    steps: Literal["auto"] | int = key("of compile=step: steps a call", at_least=1, unit="steps", if_absent="auto")


@dataclass
class Loader:
    batch_size: int = key("samples in a batch; with accumulate=k a step uses k batches", at_least=1, unit="samples")
    eval_batch_size: int = key("samples in a batch in evaluation", at_least=1, unit="samples")
    shuffle: bool = key("a new order each epoch, the same for the same seed")
    sampler: Literal["balanced"] | None = key(
        "balanced: each class comes as often as the others in an epoch, which stays as long", if_absent=None
    )
    drop_last: bool = key("leave out the last, smaller batch of an epoch")
    num_workers: Literal["auto"] | int = key(
        "processes of torch's DataLoader; auto: for pictures that are decoded one by one, from the cores", at_least=0
    )
    pin_memory: bool = key("page-locked host memory for faster copies to CUDA")
    in_memory: Literal["auto"] | bool = key("keep the data on the device; auto: if it fits in a quarter of its memory")

    @property
    def workers(self) -> int:
        """num_workers, or 0 for auto: only pictures resolve that, see trainer/data/row_splits.py."""
        return 0 if self.num_workers == "auto" else self.num_workers


@dataclass
class Augment:
    flip: bool = key("mirror every second picture left to right", if_absent=False)
    shift: int = key("move by up to this many pixels, reflected at the border", at_least=0, unit="pixels", if_absent=0)
    crop: int = key("cut the picture out of one with so much black around it", at_least=0, unit="pixels", if_absent=0)
    cutout: int = key("side of a black square in each picture", at_least=0, unit="pixels", if_absent=0)
    brightness: float = key("multiply it by 1 - this to 1 + this", at_least=0, at_most=1, if_absent=0.0)
    contrast: float = key("multiply it by 1 - this to 1 + this", at_least=0, at_most=1, if_absent=0.0)
    mixup: float = key(
        "blend pictures and labels, by a share of Beta(a, a); classes only", at_least=0, at_most=5, if_absent=0.0
    )
    cutmix: float = key("paste a box of another picture, its share of Beta(a, a)", at_least=0, at_most=5, if_absent=0.0)
    transforms: Transforms = key("of torchvision.transforms.v2, kornia or your own, by `_target_`", if_absent=[])
    per: Literal["sample", "batch"] = key(
        "what a transform is given: a picture, in a worker, or a batch, on the device", if_absent="sample"
    )


@dataclass
class EarlyStop:
    patience: int | None = key("stop after this many evaluations without improvement", at_least=1, unit="evaluations")
    min_delta: float = key("smallest change of the monitored metric that starts patience again", at_least=0)


@dataclass
class Checkpoint:
    every_seconds: float = key(
        "seconds between two saves, at least; the end and a stop always save", at_least=0, unit="s"
    )
    keep: int = key("number of checkpoints kept on disk", at_least=2)


@dataclass
class Sweep:
    jobs: Literal["auto"] | int = key("jobs at a time: auto is one for each core or GPU", at_least=1)
    on_fail: Literal["continue", "stop"] = key("after a job that failed: continue with the others, or stop the sweep")
    on_interrupt: Literal["cancel", "keep"] = key(
        "after Ctrl-C, in Slurm: cancel the jobs, or keep them there. Jobs on this machine are always saved",
        if_absent="cancel",
    )
    confirm: bool = key("go ahead with more than 10,000 jobs")


@dataclass
class Config:
    """A complete config, checked. Where a value was set is in Settings."""

    dataset: Target = key("the data to learn from")
    model: Target = key("the nn.Module")
    loss: Target = key("the function to minimise")
    optimizer: Target = key("how the parameters are updated")
    scheduler: Target = key("how the learning rate changes")

    epochs: int = key("passes over the training split", at_least=1)
    max_steps: int | None = key("stop after this many optimizer steps, if that comes first", at_least=1, unit="steps")
    max_time: Time | None = key(
        "end in this time, resumes included, evaluated and saved: 90s, 10m or 1h30m",
        if_absent=None,
        example="10m",
    )
    seed: int = key("seeds the weights, the order of samples and dropout", at_least=0, below=2**63)
    dtype: Literal["float32", "float64"] = key("type of parameters and inputs")
    init_from: str | None = key(
        "the weights to start from: a run (its folder, the end of its name, latest), or a .safetensors, .pt or .pth",
        if_absent=None,
    )
    init_rename: dict[str, str] | None = key(
        "prefixes of the names in init_from that are other ones in the model: {old.: new.}", if_absent=None
    )
    init_sha256: str | None = key("the sha256 that the file of init_from must have; null: stored", if_absent=None)

    device: DeviceName = key("auto, cpu, cuda, cuda:1 or mps")
    deterministic: bool = key(
        "on CUDA, kernels that give the same bits each time; false: cuDNN tries which are fastest"
    )
    channels_last: bool = key(
        "keep the channels of a pixel beside each other in memory, for 2-D convolutions", if_absent=False
    )
    matmul: Literal["highest", "high", "medium"] = key(
        "precision of float32 matrix products: high is TF32 on CUDA, medium bf16 where there is a kernel",
        instead_of_true="high",
        if_absent="highest",
    )
    threads: Literal["auto"] | int = key("CPU threads; auto: from the work in one step", at_least=1)
    nproc: Literal["auto"] | int = key("processes that train together: auto is one for each GPU", at_least=1)
    sync_batchnorm: bool = key("batch norms see the full batch, not one process's share; CUDA only")
    autocast: Literal["none", "bf16", "fp16"] = key("mixed precision; fp16 uses a GradScaler", instead_of_true="bf16")
    compile: Literal["none", "model", "step"] = key("torch.compile the model or the step", instead_of_true="model")
    compiler: Compiler = key("options of torch.compile")
    graph: Literal["auto"] | bool = key(
        "replay the step as one CUDA graph; auto: on CUDA, where that can change no result",
        if_absent="auto",
    )

    accumulate: int = key("batches whose gradients add up to one step", at_least=1, unit="batches")
    clip_grad_norm: float | None = key("scale gradients down to this total norm", above=0)

    freeze: list[str] = key(
        "parameters that are not trained: names, or globs like features.*; a module means all below it", if_absent=[]
    )
    unfreeze_at: Duration | None = key("when frozen parameters train too: 5epochs", above=0, if_absent=None)
    ema: float | None = key(
        "evaluate and keep an exponential average of the weights, with this decay",
        above=0,
        below=1,
        if_absent=None,
        example="0.999",
    )
    swa: float | Duration | None = key(
        "evaluate and keep the mean of the weights at the end of each epoch, from this part of the run or time on",
        above=0,
        below=1,
        if_absent=None,
        example="0.75",
    )
    swa_lr: float | None = key(
        "the learning rate from then on; null: that of the step, at least a tenth of the first", above=0, if_absent=None
    )

    loader: Loader = key("how batches are made")
    augment: Augment = key("random changes of training pictures; evaluation never sees them", if_absent={})

    eval_every: Duration = key("how often to evaluate: 1epoch, 500steps, 10000samples", above=0)
    monitor: str = key(
        "the metric for best weights, early stop and plateau; auto: val/acc or val/loss; equal ones: the lower loss"
    )
    monitor_mode: Literal["min", "max"] | None = key(
        "whether lower or higher is better, for a metric that does not say; null: known", if_absent=None
    )
    metrics: Metrics = key(
        "more metrics, by torchmetrics' names: [auroc,{name: f1, average: binary, positive: spam}]; extra [metrics]",
        if_absent=[],
    )
    calibrate: bool = key(
        "at the end, fit one temperature on the validation rows, by which predict and export divide logits",
        if_absent=False,
    )
    early_stop: EarlyStop = key("when to stop early")
    guards: Literal["warn", "strict", "none"] = key(
        "what a known trap leads to: a warning, the end of the run (strict), or nothing (none)"
    )

    explain: int = key("print the five verbs of the first N steps and what each one did", at_least=0, unit="steps")
    expect: Expect = key("expected results, by name: a value, or {value, within, at_least, at_most}")

    name: str | None = key("of the run: its folder's name holds it, in place of data and model", if_absent=None)
    tags: list[str] = key("words by which runs and compare find it: [baseline,long]", if_absent=[])
    notes: str | None = key("what the run is for, in your words", if_absent=None)
    output_dir: str = key("the folder for run folders")
    log_every: int = key("steps between two lines in metrics.jsonl", at_least=1, unit="steps")
    checkpoint: Checkpoint = key("when to save")
    tensorboard: bool = key("write TensorBoard event files into the run folder; extra [tensorboard]")
    mlflow: bool = key("log to MLFLOW_TRACKING_URI, or to files in outputs/mlruns; extra [mlflow]")
    wandb: Literal["offline"] | bool = key(
        "log to Weights & Biases; offline: into the run folder, for wandb sync; extra [wandb]", if_absent=False
    )
    trackio: bool = key("log to trackio, in TRACKIO_DIR; extra [trackio]", if_absent=False)
    listeners: Listeners = key("your own, given each event: [{_target_: my_file.MyListener, key: value}]", if_absent=[])
    listener_errors: Literal["stop", "warn"] = key(
        "after a listener of yours that raises: end the run, or warn and go on without it", if_absent="stop"
    )
    report: bool = key("make results.png and report.html at the end")

    sweep: Sweep = key("how the jobs of a sweep (-m) run")
