"""The backend "compile": torch.compile with frozen weights, which generates C++ for CPUs and Triton for CUDA."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from marey.backends.compiled import Compiler
from marey.backends.compute import BackendName
from marey.backends.eager import OutputFromFrames
from marey.backends.precision import autocast
from marey.base.options import Arithmetic
from marey.base.reporter import notice, release_waiting_messages


class TorchCompile(Compiler):
    """Compiles in each process, because torch does not cache graphs with frozen weights on disk."""

    name: BackendName = "compile"
    """The word of `--backend` for torch.compile."""

    @property
    def version(self) -> str:
        return torch.__version__

    def lacks(self, device: torch.device, precision: Arithmetic) -> str | None:
        if device.type in ("cpu", "cuda"):
            return None
        return f"it runs on cpu and cuda, not on {device.type}; use --backend eager"

    def seconds(self, module: OutputFromFrames, views_VTHWC: Tensor, precision: Arithmetic) -> float:
        return 40  # 9 to 19 on two AVX-512 cores, 20 to 60 on AVX2 ones (docs/performance/backends.md)

    def compile(
        self, module: OutputFromFrames, views_VTHWC: Tensor, device: torch.device, precision: Arithmetic
    ) -> Callable[[Tensor], Tensor]:
        import torch._dynamo.config
        import torch._inductor.config

        notice("backend compile: torch compiles for this process, 10 to 60 s for batches and again for a single view")
        release_waiting_messages()
        compiled = torch.compile(module, fullgraph=True)
        # For dynamo each output of each network is one more version of the same `forward`. By default it keeps 8 versions,
        # and makes a size that differs between two versions, such as height or frames, dynamic.
        dynamo = torch._dynamo.config.patch(recompile_limit=1000, automatic_dynamic_shapes=False)
        inductor = torch._inductor.config.patch(freezing=True)

        def run(views: Tensor) -> Tensor:
            views = views.detach()  # so that the caller's tensor is not marked below
            if len(views) > 1:
                # One graph for all numbers of views but 1, which torch always compiles separately. It is as fast as graphs
                # for fixed numbers (SlowOnly 0.247 and 0.245 s, R(2+1)D 0.498 and 0.503), which take 7 to 14 s each to
                # compile, and a smaller last batch needs no padding.
                torch._dynamo.mark_dynamic(views, 0)
            with dynamo, inductor, autocast(device, precision), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's warnings about slow operators
                return compiled(views)  # type: ignore[no-any-return]

        return run
