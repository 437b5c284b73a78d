"""skorch: NeuralNetClassifier on arrays, without its table of losses and its accuracy on the side."""

import job
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split


class Timed(Callback):
    def on_train_begin(self, net: NeuralNetClassifier, **kwargs: object) -> None:
        self.report = job.Report()

    def on_epoch_end(self, net: NeuralNetClassifier, **kwargs: object) -> None:
        self.report.epoch()


args = job.settings()
x, y, val_x, val_y = job.tensors(args.digits)
timed = Timed()
net = NeuralNetClassifier(
    job.mlp(x.shape[1]),
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=job.LR,
    batch_size=args.batch,
    max_epochs=args.epochs,
    iterator_train__shuffle=True,
    train_split=predefined_split(Dataset(val_x.numpy(), val_y.numpy())),
    callbacks=[("timed", timed)],
    callbacks__print_log=None,
    callbacks__valid_acc=None,
    verbose=0,
)
net.fit(x.numpy(), y.numpy())
timed.report.end(net.history[-1, "train_loss"], net.history[-1, "valid_loss"])
