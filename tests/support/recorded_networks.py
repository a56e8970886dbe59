"""The networks of the older toolkits whose logits were recorded: which recipe each is, and how near a classifier comes."""

from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from marey.classifier import Classifier
from marey.models.network import LinearClassifier
from tests.support.recorded import runs
from tests.support.tolerances import GOLDEN_LOGITS

PAIRS = {
    "mmaction1/tsn2d_r50_k400": "tsn_r50_3seg_k400",
    "mmaction1/slowonly_r50_4x16_k400": "slowonly_r50_4x16_k400",
    "mmaction1/i3d_r50_32x2_k400": "i3d_r50_32x2_k400",
    "mmaction1/slowfast_r50_4x16_k400": "slowfast_r50_4x16_k400",
    "mmaction1/i3d_inception_v1_rgb_k400": "i3d_incv1_rgb_64x1_k400",
    "mmaction1/i3d_inception_v1_flow_k400": "i3d_incv1_flow_64x1_k400",
    "mmaction1/tsn2d_bninception_flow_ucf101": "tsn_bninception_flow_3seg_ucf101",
    "mmaction2/tsn_r50": "tsn_r50_3seg_k400_mmaction2",
    "mmaction2/tsm_r50": "tsm_r50_8seg_k400_mmaction2",
    "mmaction2/i3d_r50": "i3d_r50_32x2_k400_mmaction2",
    "mmaction2/i3d_r50_nl_dot": "i3dnldot_r50_32x2_k400_mmaction2",
    "mmaction2/i3d_r50_nl_gauss": "i3dnlgauss_r50_32x2_k400_mmaction2",
    "mmaction2/c2d_r50_nopool": "c2dnopool_r50_8x8_k400_mmaction2",
    "mmaction2/slowonly_r50_4x16": "slowonly_r50_4x16_k400_mmaction2",
    "mmaction2/slowonly_r50_8x8": "slowonly_r50_8x8_k400_mmaction2",
    "mmaction2/slowfast_r50_8x8": "slowfast_r50_8x8_k400_mmaction2",
    "pyslowfast/I3D_8x8_R50": "i3d_r50_8x8_k400_pyslowfast",
    "pyslowfast/SLOW_8x8_R50": "slowonly_r50_8x8_k400_pyslowfast",
    "pyslowfast/SLOWFAST_8x8_R50": "slowfast_r50_8x8_k400_pyslowfast",
    "pytorchvideo/c2d_r50": "c2d_r50_8x8_k400_pytorchvideo",
    "pytorchvideo/slowfast_r50": "slowfast_r50_8x8_k400_pytorchvideo",
    "mmaction1/r2plus1d_r34_8x8_k400": "r2plus1d_r34_8x8_k400",
    "mmaction1/ircsn_r152_32x2_k400": "ircsn_r152_32x2_k400_ig65m",
    "mmaction1/ipcsn_r152_32x2_k400_dw": "ipcsn_r152_32x2_k400_mmaction",
    "mmaction2/r2plus1d_r34_8x8": "r2plus1d_r34_8x8_k400_mmaction2",
    "mmaction2/ircsn_r50": "ircsn_r50_32x2_k400_ig65m_mmaction2",
    "mmaction2/ipcsn_r152": "ipcsn_r152_32x2_k400_mmaction2",
    "pytorchvideo/r2plus1d_r50": "r2plus1d_r50_16x4_k400_pytorchvideo",
    "pytorchvideo/csn_r101": "ircsn_r101_32x2_k400_pytorchvideo",
    "vmz/r2plus1d_34_8": "r2plus1d_r34_8x1_k400_ig65m_vmz",
    "vmz/ir_csn_152": "ircsn_r152_32x2_k400_ig65m_vmz",
    "vmz/ip_csn_152": "ipcsn_r152_32x2_k400_ig65m_vmz",
}
"""Recipes by the name of the recorded network."""


def difference(model: Classifier, name: str, *, strict: bool = True) -> float:
    """The largest difference to the recorded logits, in standard deviations of the logits.

    The network computes in the type of its weights, float32 or float64.
    """
    worst, network = 0.0, model.network
    assert isinstance(network, LinearClassifier)
    for values, recorded in runs(name):
        clips = values.to(network.head.weight.dtype)
        with torch.inference_mode():
            maps = network.trunk(clips)
            # Logits and features are taken from the same maps, so that the network runs once.
            with patch.object(network, "trunk", lambda _, maps=maps: maps):
                positions, logits, features = network.positions(clips), network(clips), network.features(clips)
        assert torch.equal(logits, positions.mean(dim=(2, 3, 4)))
        # PySlowFast's logits at each position [B, T', H', W', K]; the others' mean over positions.
        mapped = "logits_map" in recorded
        logits = positions.movedim(1, -1) if mapped else positions.mean(dim=(2, 3, 4))
        expected = torch.from_numpy(recorded["logits_map" if mapped else "out" if "out" in recorded else "logits"])
        assert logits.shape == expected.shape
        if "out" in recorded and model.recipe.test.averaging == "position_probabilities":
            logits, expected = logits.log_softmax(dim=1), expected.log()  # its network ends in a softmax
        worst = max(worst, float((logits - expected).abs().max() / expected.std()))
        if strict and "averaged" in recorded:
            assert_same_probabilities(logits.softmax(dim=1).mean(dim=0), recorded["averaged"][0], expected)
        if strict and mapped:
            assert_same_probabilities(positions.softmax(dim=1).mean(dim=(2, 3, 4)), recorded["out_prob"], expected)
        if strict and "pooled" in recorded and len(clips) == 1:
            assert (features - torch.from_numpy(recorded["pooled"])).abs().max() < 1e-3
    return worst


def assert_same_probabilities(mean: Tensor, recorded: np.ndarray, logits: Tensor) -> None:
    """Averaged probabilities are as near as their logits allow: d log softmax <= 2 max|d logit|."""
    expected = torch.from_numpy(recorded)
    allowed = 2 * GOLDEN_LOGITS * logits.std()
    assert ((mean - expected).abs() <= allowed * expected).all()


def a_relu_too_many(network) -> None:
    network.resnet.stages[3][2].c.register_forward_hook(lambda module, inputs, output: output.relu())
