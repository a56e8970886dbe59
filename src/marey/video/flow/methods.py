"""Ways to compute optical flow, each a small declaration with its parameters. Torch and OpenCV load when it is built."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from marey.base.declaration import Declaration, first_problem
from marey.base.errors import DataError
from marey.base.versions import OPENCV

Grey = NDArray[np.uint8]
"""Grey pictures [T, H, W], 0..255."""

Flow = NDArray[np.float32]
"""Where each pixel of a picture lies in the next one: [T, H, W, 2], x to the right and y down, in pixels."""

Estimator = Callable[[Grey, Grey], Flow]
"""From first and second pictures, T of each, to T fields."""


class _Method(Declaration, ABC):
    @abstractmethod
    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        """What computes it. `device` and `compiled` change the speed, and the last bits, of what runs in torch.

        Raises:
            DataError: a device that the method does not run on.
        """


class _TVL1(_Method):
    """What both implementations of TV-L1 share: OpenCV's names and values, but for `lambda`, a word of Python's."""

    tau: PositiveFloat = 0.25
    """Step of the dual variables."""
    attachment: PositiveFloat = 0.15
    """Lambda, the weight of the data: smaller is smoother."""
    theta: PositiveFloat = 0.3
    """How loosely the auxiliary flow holds to the flow."""
    scales: PositiveInt = 5
    scale_step: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Size of each scale relative to the next finer one."""
    warps: PositiveInt = 5
    """Linearisations at each scale."""
    epsilon: PositiveFloat = 0.01
    """A warp is done when the flow's root mean square change in one iteration is no more than this, in pixels."""
    outer_iterations: PositiveInt = 10
    """Rounds of a warp."""
    inner_iterations: PositiveInt = 30
    """Iterations of a round."""
    median: bool = True
    """Smooth the flow by a median of 5x5 before each round."""


class TVL1(_TVL1):
    """TV-L1 in torch, several times as fast as OpenCV's and within a hundredth of a pixel of it."""

    method: Literal["tvl1"] = "tvl1"

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        from marey.video.flow.tvl1 import TorchEstimator

        return TorchEstimator(self, device, compiled=compiled)


class OpenCVTVL1(_TVL1):
    """OpenCV's DualTVL1OpticalFlow."""

    method: Literal["tvl1_opencv"] = "tvl1_opencv"

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        import cv2

        _only_on_cpu(self.method, device)
        # By place: the names differ between OpenCV's versions. A 0 stands for gamma, the weight of changing brightness.
        try:
            create = cv2.optflow.DualTVL1OpticalFlow_create  # type: ignore[attr-defined]
        except AttributeError:
            raise DataError(
                f"--method {self.method}: the OpenCV installed here lacks its contrib modules (cv2.optflow): pip install "
                f"{OPENCV} in place of it, or use tvl1, which is the same method in torch."
            ) from None
        flow = create(
            self.tau, self.attachment, self.theta, self.scales, self.warps, self.epsilon, self.inner_iterations,
            self.outer_iterations, self.scale_step, 0, 5 if self.median else 1,
        )  # fmt: skip
        return lambda first, second: _one_by_one(lambda a, b: flow.calc(a, b, None), first, second)


class DIS(_Method):
    """Dense inverse search (Kroeger, Timofte, Dai and Van Gool, ECCV 2016), OpenCV's: a hundred times as fast."""

    method: Literal["dis"] = "dis"
    preset: Literal["ultrafast", "fast", "medium"] = "medium"

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        import cv2

        _only_on_cpu(self.method, device)
        preset = getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}")
        flow = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
        return lambda first, second: _one_by_one(lambda a, b: flow.calc(a, b, None), first, second)


class Farneback(_Method):
    """Polynomial expansion (Farnebäck, SCIA 2003), OpenCV's, with the parameters of its documentation and MMAction2."""

    method: Literal["farneback"] = "farneback"
    pyramid_scale: Annotated[float, Field(gt=0, lt=1)] = 0.5
    levels: PositiveInt = 3
    window: PositiveInt = 15
    iterations: PositiveInt = 3
    neighbourhood: Literal[5, 7] = 5
    sigma: PositiveFloat = 1.2

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        import cv2

        _only_on_cpu(self.method, device)
        options = (self.pyramid_scale, self.levels, self.window, self.iterations, self.neighbourhood, self.sigma, 0)
        return lambda first, second: _one_by_one(
            lambda a, b: cv2.calcOpticalFlowFarneback(a, b, None, *options),  # type: ignore[call-overload]
            first,
            second,
        )


FlowMethod = Annotated[TVL1 | OpenCVTVL1 | DIS | Farneback, Field(discriminator="method")]


def flow_method(name: str, settings: Iterable[str] = ()) -> FlowMethod:
    """A method by its name and `key=value` words, as on the command line: `flow_method("dis", ["preset=fast"])`.

    Raises:
        DataError: no method of that name, a key that it does not have, or a value of the wrong type.
    """
    pairs = [word.partition("=")[::2] for word in settings]
    adapter: TypeAdapter[FlowMethod] = TypeAdapter(FlowMethod)
    try:
        return adapter.validate_python({"method": name} | dict(pairs))
    except ValidationError as error:
        field, rule = first_problem(error)
        raise DataError(f"--method {name}{''.join(f' --set {word}' for word in settings)}: {field} {rule}.") from None


def _one_by_one(calc: Callable[[Grey, Grey], Flow], first: Grey, second: Grey) -> Flow:
    fields = np.empty((*first.shape, 2), np.float32)
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        fields[number] = calc(np.ascontiguousarray(a), np.ascontiguousarray(b))
    return fields


def _only_on_cpu(method: str, device: str) -> None:
    if not device.startswith("cpu"):
        raise DataError(f"--device {device}: {method} is OpenCV's and runs on the CPU; tvl1 runs on a GPU.")
