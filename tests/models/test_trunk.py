"""A new trunk needs no change elsewhere: `PooledClassifier` and the transfer of weights use its name and strides."""

import torch
from torch import Tensor, nn

import marey
from marey.classifier import LoadReport
from marey.models.layers.trunk import Trunk
from marey.models.network import PooledClassifier
from marey.weights.inflation import carry_over
from tests.support import tiny


class Strided(Trunk):
    """A stem and one stage."""

    name = "strided"
    strides = (1, 4, 4)

    def __init__(self, channels: int, *, time: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv3d(channels, 6, (time, 3, 3), (1, 2, 2), (time // 2, 1, 1))
        self.stages = nn.ModuleList([nn.Conv3d(6, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1))])
        self.out_channels = 8

    def forward(self, x: Tensor) -> Tensor:
        return self.stages[0](self.stem(x).relu())


def test_a_new_trunk_makes_a_network() -> None:
    network = PooledClassifier(Strided(3), num_classes=2)
    assert {name.split(".")[0] for name in network.state_dict()} == {"strided", "head"}
    assert network.trunk(torch.zeros(1, 3, 2, 16, 12))[0].shape == (1, 8, 2, 4, 3)
    assert network.strides == ((1, 4, 4),)
    depths = {name: network.layer_depth(name) for name in ("strided.stem.weight", "strided.stages.0.bias", "head.bias")}
    assert list(depths.values()) == [0, 1, 2]
    assert network(torch.zeros(1, 3, 2, 16, 12)).shape == (1, 2)


def test_weights_are_transferred_to_a_trunk_of_the_same_name() -> None:
    source, target = PooledClassifier(Strided(3), num_classes=2), PooledClassifier(Strided(2), num_classes=5)
    pretrained = marey.Classifier(source, tiny.RECIPE, load_report=LoadReport("a.pth", "ours", ()))
    report = carry_over(pretrained, target, "flow")
    assert report.notes == ("strided: the mean over 3 input channels for each of 2",)
    assert torch.equal(source.strided.stages[0].weight, target.strided.stages[0].weight)
    mean = source.strided.stem.weight.mean(dim=1, keepdim=True).expand(-1, 2, -1, -1, -1)
    assert torch.equal(target.strided.stem.weight, mean)
