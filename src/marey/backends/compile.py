"""torch.compile with frozen weights: C++ on CPUs, Triton on CUDA."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from marey.backends.backend import Compiler, FromFrames
from marey.backends.compute import BackendName
from marey.backends.precision import autocast
from marey.base.precision import Arithmetic
from marey.base.reporter import notice, say_what_waits


class TorchCompile(Compiler):
    """Compiles anew in each process, because torch keeps no graph on disk whose weights are frozen into it."""

    name: BackendName = "compile"

    @property
    def version(self) -> str:
        return torch.__version__

    def lacks(self, device: torch.device, precision: Arithmetic) -> str | None:
        if device.type in ("cpu", "cuda"):
            return None
        return f"it runs on cpu and cuda, not on {device.type}; use --backend eager"

    def seconds(self, module: FromFrames, views_VTHWC: Tensor, precision: Arithmetic) -> float:
        return 40  # 9 to 19 on two AVX-512 cores, 20 to 60 on AVX2 ones (docs/performance/backends.md)

    def compile(
        self, module: FromFrames, views_VTHWC: Tensor, device: torch.device, precision: Arithmetic
    ) -> Callable[[Tensor], Tensor]:
        import torch._dynamo.config
        import torch._inductor.config

        notice("backend compile: torch compiles for this process, 10 to 60 s for batches and again for a single view")
        say_what_waits()
        compiled = torch.compile(module, fullgraph=True)
        # To dynamo every network's every output is one more version of the same `forward`. It keeps 8 by default, and what
        # differs between two versions, height or frames, it would take for a free size.
        dynamo = torch._dynamo.config.patch(recompile_limit=1000, automatic_dynamic_shapes=False)
        inductor = torch._inductor.config.patch(freezing=True)

        def run(views: Tensor) -> Tensor:
            views = views.detach()  # the mark below is not for the caller's tensor
            if len(views) > 1:
                # One graph for every number of views but 1, which torch compiles by itself in any case. It is as fast as
                # one for a fixed number (SlowOnly 0.247 and 0.245 s, R(2+1)D 0.498 and 0.503), each of which takes 7 to 14 s
                # to compile, and wastes nothing on a smaller last batch, as padding would.
                torch._dynamo.mark_dynamic(views, 0)
            with dynamo, inductor, autocast(device, precision), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of what it leaves slow
                return compiled(views)  # type: ignore[no-any-return]

        return run
