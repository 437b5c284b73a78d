"""A recommender with two towers: one for users, one for items. Their product says whether a user likes an item."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Likes(Dataset):
    """Rows {user, item, label}: numbers of a user and an item, and whether (1,) the one likes the other, 0.0 or 1.0."""

    def __init__(self, num_users: int = 60, num_items: int = 50) -> None:
        draw = torch.Generator().manual_seed(0)
        tastes, kinds = (torch.randn(number, 3, generator=draw) for number in (num_users, num_items))
        liked = tastes @ kinds.T + 0.3 * torch.randn(num_users, num_items, generator=draw) > 0
        self.pairs = torch.cartesian_prod(torch.arange(num_users), torch.arange(num_items))
        self.labels = liked.float().reshape(-1, 1)
        self.order = torch.randperm(len(self.pairs), generator=draw)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        user, item = self.pairs[row]
        return {"user": user, "item": item, "label": self.labels[row]}

    def split(self) -> dict[str, Tensor]:
        return {"val": self.order[2400:]}


class Towers(nn.Module):
    def __init__(self, num_users: int = 60, num_items: int = 50, width: int = 16) -> None:
        super().__init__()

        def tower(number: int) -> nn.Module:
            return nn.Sequential(nn.Embedding(number, width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 8))

        self.users, self.items = tower(num_users), tower(num_items)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """user, item: (N,) int64. Returns a logit (N, 1)."""
        return (self.users(user) * self.items(item)).sum(1, keepdim=True)
