"""MMAction2 1.2's own network, as benchmarks/backends.py runs it in a Python environment of MMAction2.

    python benchmarks/peers/mmaction2.py CONFIG FRAMES.npy WEIGHTS.pth THREADS

The network that the configuration CONFIG of MMAction2 declares gets the initial values that MMAction2 gives it, which are
written to WEIGHTS (nothing is downloaded). One line of JSON then describes it; for each line on the standard input it
answers the frames [B, T, H, W, 3] of FRAMES once and prints the seconds of that pass. Imports no Marey.
"""

import json
import sys
import time
import types
from pathlib import Path

# The wheel of MMAction2 1.2.0 lacks a folder below mmaction/models/localizers, so that these cannot be imported.
sys.modules["mmaction.models.localizers"] = types.ModuleType("mmaction.models.localizers")

import mmaction  # noqa: E402
import mmaction.models  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmaction.registry import MODELS  # noqa: E402
from mmengine import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402


def main(config: str, frames: str, weights: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    init_default_scope("mmaction")
    declared = Config.fromfile(Path(mmaction.__file__).parent / ".mim" / "configs" / "recognition" / config).model
    declared.backbone.pretrained = None
    network = MODELS.build(declared)
    network.init_weights()
    network.eval()
    torch.save({"state_dict": network.state_dict()}, weights)
    pixels = network.data_preprocessor
    clip_BTHWC = torch.from_numpy(np.load(frames)).float()
    # As MMAction2 hands clips over: normalised, [B, 3, T, H, W], contiguous. Its preparation is not timed.
    clip_BCTHW = ((clip_BTHWC.movedim(-1, 1) - pixels.mean) / pixels.std).contiguous()

    def answer() -> torch.Tensor:
        return network.cls_head(network.backbone(clip_BCTHW))

    with torch.no_grad():
        logits = answer()
        described = {
            "version": f"MMAction2 {mmaction.__version__}, torch {torch.__version__}",
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "logits": logits.tolist(),
        }
        print(json.dumps(described), flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            answer()
            print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
