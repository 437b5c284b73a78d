"""Losses of predictions whose classes are along another axis than 1."""

from torch import Tensor, nn

from trainer.tasks.focal import FocalLoss


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """torch's own. class_axis: of the predictions; 0 is the batch."""

    class_axis: int

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return super().forward(prediction.movedim(self.class_axis, 1), y)


class NLLLoss(nn.NLLLoss):
    """The same of log-probabilities."""

    class_axis: int

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return super().forward(prediction.movedim(self.class_axis, 1), y)


ALONG_AXIS = {nn.CrossEntropyLoss: CrossEntropyLoss, nn.NLLLoss: NLLLoss, FocalLoss: FocalLoss}
