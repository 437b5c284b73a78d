"""A variational autoencoder. Its loss has two terms, each of which is shown: the reconstruction and the divergence."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

CODE = 4


class Crosses(Dataset):
    """Pictures (8, 8) float32 of a row and a column of light. noise: whether samples are dicts that bring the noise for
    the model, so that it does not depend on how rows are shared out between processes."""

    def __init__(self, num_rows: int = 1000, noise: bool = False) -> None:
        draw = torch.Generator().manual_seed(0)
        x, y = torch.rand(2, num_rows, 1, generator=draw) * 7
        across, down = (torch.exp(-((torch.arange(8.0) - place) ** 2)) for place in (x, y))
        self.pictures, self.noise = torch.maximum(across[:, None, :], down[:, :, None]), noise

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, row: int) -> Tensor | dict[str, Tensor]:
        picture = self.pictures[row]
        return {"picture": picture, "noise": torch.randn(CODE), "target": picture} if self.noise else picture

    def split(self) -> dict[str, range]:
        return {"val": range(800, 1000)}


class VAE(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2 * CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, picture: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """picture: (N, 8, 8); noise: (N, 4), standard normal; it is drawn if it is not given."""
        mean, log_variance = self.encoder(picture).chunk(2, 1)
        noise = torch.randn_like(mean) if noise is None else noise
        code = mean + noise * torch.exp(log_variance / 2)
        output = self.decoder(code).reshape(picture.shape)
        return {"output": output, "mean": mean, "log_variance": log_variance}


class Evidence(nn.Module):
    """The negative evidence lower bound, a mean over pictures, for pixels with a standard deviation of `spread`."""

    def __init__(self, spread: float = 0.2) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, prediction: dict[str, Tensor], picture: Tensor) -> dict[str, Tensor]:
        mean, log_variance = prediction["mean"], prediction["log_variance"]
        error = ((prediction["output"] - picture) / self.spread).square().flatten(1).sum(1).mean() / 2
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        return {"reconstruction": error, "divergence": divergence}
