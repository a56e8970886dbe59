"""Methods to compute optical flow, as declarations of their parameters. `build` loads torch or OpenCV."""

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
"""Grey frames [T, H, W], 0..255."""

Flow = NDArray[np.float32]
"""Flow fields [T, H, W, 2] in pixels: the displacement of each pixel in the next frame, x to the right and y down."""

Estimator = Callable[[Grey, Grey], Flow]
"""Function from T first frames and T second frames to T flow fields."""


class _Method(Declaration, ABC):
    """A method and its parameters."""

    @abstractmethod
    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        """The function that computes flow by this method.

        `device` is a torch device, and `compiled` applies `torch.compile`; both change only speed and the last bits.

        Raises:
            DataError: the method does not run on this device.
        """


class _TVL1(_Method):
    """Parameters of TV-L1 with OpenCV's names and defaults, except `lambda`, which is a keyword of Python."""

    tau: PositiveFloat = 0.25
    """Step size of the dual variables, above 0."""
    attachment: PositiveFloat = 0.15
    """Weight of the data term (lambda), above 0; smaller values give smoother flow."""
    theta: PositiveFloat = 0.3
    """Coupling of the auxiliary flow to the flow, above 0; larger values couple more loosely."""
    scales: PositiveInt = 5
    """Most scales of the image pyramid, at least 1."""
    scale_step: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Size of each scale relative to the next finer one, between 0 and 1."""
    warps: PositiveInt = 5
    """Number of times that the second frame is warped and linearised at each scale, at least 1."""
    epsilon: PositiveFloat = 0.01
    """A warp ends when the root mean square change of the flow in one iteration is at most this, in pixels, above 0."""
    outer_iterations: PositiveInt = 10
    """Most rounds of a warp, at least 1."""
    inner_iterations: PositiveInt = 30
    """Iterations of a round, at least 1."""
    median: bool = True
    """Whether a median filter of 5x5 smooths the flow before each round."""


class TVL1(_TVL1):
    """TV-L1 in torch: several times as fast as OpenCV's, and equal to it within a hundredth of a pixel."""

    method: Literal["tvl1"] = "tvl1"

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        from marey.video.flow.tvl1 import TorchEstimator

        return TorchEstimator(self, device, compiled=compiled)


class OpenCVTVL1(_TVL1):
    """TV-L1 of OpenCV (DualTVL1OpticalFlow)."""

    method: Literal["tvl1_opencv"] = "tvl1_opencv"

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        import cv2

        _only_on_cpu(self.method, device)
        # Positional, since the names differ between OpenCV's versions. The 0 is gamma, the weight of brightness changes.
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
    """Dense inverse search (Kroeger, Timofte, Dai and Van Gool, ECCV 2016) of OpenCV, a hundred times as fast as TV-L1."""

    method: Literal["dis"] = "dis"
    preset: Literal["ultrafast", "fast", "medium"] = "medium"
    """OpenCV's preset of speed and accuracy."""

    def build(self, *, device: str = "cpu", compiled: bool = False) -> Estimator:
        import cv2

        _only_on_cpu(self.method, device)
        preset = getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}")
        flow = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
        return lambda first, second: _one_by_one(lambda a, b: flow.calc(a, b, None), first, second)


class Farneback(_Method):
    """Polynomial expansion (Farnebäck, SCIA 2003) of OpenCV, with the parameters of its documentation and of MMAction2."""

    method: Literal["farneback"] = "farneback"
    pyramid_scale: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Size of each pyramid level relative to the next finer one, between 0 and 1."""
    levels: PositiveInt = 3
    """Number of levels of the pyramid, at least 1."""
    window: PositiveInt = 15
    """Side of the averaging window in pixels."""
    iterations: PositiveInt = 3
    """Iterations per level, at least 1."""
    neighbourhood: Literal[5, 7] = 5
    """Side of the neighbourhood of the polynomial expansion, in pixels."""
    sigma: PositiveFloat = 1.2
    """Standard deviation in pixels of the Gaussian that weights the expansion."""

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
"""Any method; the field `method` names it in YAML."""


def flow_method(name: str, settings: Iterable[str] = ()) -> FlowMethod:
    """A method by its name and settings `key=value`, as on the command line: `flow_method("dis", ["preset=fast"])`.

    Raises:
        DataError: there is no such method or key, or the value has the wrong type.
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
