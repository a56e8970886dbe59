"""TV-L1 optical flow in torch, for many pairs of frames at once, on any device.

Zach, Pock and Bischof, A Duality Based Approach for Realtime TV-L1 Optical Flow, DAGM 2007; Sánchez, Meinhardt-Llopis and
Facciolo, TV-L1 Optical Flow Estimation, IPOL 2013. The flow u minimises, summed over the image,

    |grad u1| + |grad u2| + lambda |I1(x + u) - I0(x)|

It is solved from coarse to fine scales. At each scale the second frame is warped by u and linearised there. The sum is then
minimised alternately in an auxiliary flow (per pixel, by thresholding) and in u (by the dual of its gradient). All details
that affect the result are those of OpenCV's `DualTVL1OpticalFlow`: stencils, sizes of the scales, cubic warping with 0
outside of the image, the median before each round, and the end of a warp as soon as the mean square change of the flow
falls to epsilon^2.

Shape suffixes: B pairs, H height, W width.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.base.errors import DataError
from marey.base.reporter import warning_once
from marey.video.flow.median import median_5x5
from marey.video.source import Size

if TYPE_CHECKING:
    from marey.video.flow.methods import TVL1, Flow, Grey

_SMALLEST = 16
"""Shortest side of a scale, in pixels."""


class DataTerm(NamedTuple):
    """The linearised data term at one warp: the residual at flow u is `constant` + x u1 + y u2. Each tensor is [B, H, W]."""

    x: Tensor
    """Horizontal gradient of the warped second frame."""
    y: Tensor
    """Vertical gradient of the warped second frame."""
    constant: Tensor
    """Residual at flow 0."""
    inverse: Tensor
    """The quotient 1 / (x^2 + y^2), or 0 where the image is flat."""


class PrimalDual(NamedTuple):
    """The flow and the dual variables of its gradients. Each tensor is [B, H, W]."""

    u1: Tensor
    """Horizontal flow, in pixels to the right."""
    u2: Tensor
    """Vertical flow, in pixels downwards."""
    p11: Tensor
    """Dual of the horizontal gradient of `u1`."""
    p12: Tensor
    """Dual of the vertical gradient of `u1`."""
    p21: Tensor
    """Dual of the horizontal gradient of `u2`."""
    p22: Tensor
    """Dual of the vertical gradient of `u2`."""


class TorchEstimator:
    """Computes TV-L1 on a device, with a batch size that suits it.

    `compiled` fuses the inner iteration by `torch.compile`. The first call then takes up to a minute, and a few seconds in
    later processes. If the compiler fails or is missing, a warning is printed, and the work takes twice as long.
    """

    def __init__(self, rule: "TVL1", device: str, *, compiled: bool) -> None:
        try:
            self.device = torch.device(device)
            torch.ones(1, device=self.device).cpu()
        except (RuntimeError, AssertionError) as error:
            raise DataError(
                f"--device {device}: torch has no such device here ({str(error).splitlines()[0]})."
            ) from None
        # On a CPU one pair at a time fits the CPU's cache, and a pair that ends early leaves nothing idle.
        self.batch = 1 if self.device.type == "cpu" else 32
        self._solve = Solver(rule)
        if compiled:
            try:
                solve = Solver(rule, compiled=True)
                solve(*torch.zeros(2, self.batch, 32, 40, device=self.device))
                self._solve = solve
            except Exception as error:  # any error of the compiler: the work can be done without it
                warning_once(
                    f"flow: torch.compile does not work here ({type(error).__name__}); it runs without, more slowly"
                )

    def __call__(self, first_THW: "Grey", second_THW: "Grey") -> "Flow":
        fields = np.empty((*first_THW.shape, 2), np.float32)
        for start in range(0, len(fields), self.batch):
            batch = slice(start, start + self.batch)
            pair = (torch.from_numpy(grey[batch]).to(self.device) for grey in (first_THW, second_THW))
            fields[batch] = self._solve(*pair).cpu().numpy()
        return fields


class Solver:
    """Solves TV-L1 with a method's parameters; `compiled` fuses the inner iteration by `torch.compile`."""

    def __init__(self, rule: "TVL1", *, compiled: bool = False) -> None:
        self.rule = rule
        # One compilation for all sizes, as scales and frames differ in size.
        self._iterate = torch.compile(iterate, dynamic=True) if compiled else iterate

    @torch.no_grad()
    def __call__(self, first_BHW: Tensor, second_BHW: Tensor) -> Tensor:
        """Flow float32 [B, H, W, 2] (x, y; in pixels) from first to second grey frames, which have levels 0..255."""
        scales = [(first_BHW.float(), second_BHW.float())]
        while len(scales) < self.rule.scales and (size := self._coarser(scales[-1][0])) is not None:
            first, second = scales[-1]
            scales.append((self._shrunk(first, size), self._shrunk(second, size)))
        u1 = u2 = torch.zeros_like(scales[-1][0])
        for first, second in reversed(scales):
            if u1.shape != first.shape:
                u1, u2 = (resize_aligned(u, (first.shape[1], first.shape[2])) / self.rule.scale_step for u in (u1, u2))
            u1, u2 = self._one_scale(first, second, u1, u2)
        return torch.stack((u1, u2), dim=-1)

    def _coarser(self, image: Tensor) -> Size | None:
        height, width = (round(side * self.rule.scale_step) for side in image.shape[1:])
        return (height, width) if min(height, width) >= _SMALLEST else None

    def _shrunk(self, image: Tensor, size: Size) -> Tensor:
        return resize_by_step(image, size, (1 / self.rule.scale_step, 1 / self.rule.scale_step))

    def _one_scale(self, first: Tensor, second: Tensor, u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor]:
        """Refine the flow at one scale by several warps of the second frame; dual variables persist from warp to warp."""
        layers = torch.stack((second, *centred_gradient(second)), dim=1)
        zero = torch.zeros_like(first)
        state = PrimalDual(u1, u2, zero, zero, zero, zero)
        for _ in range(self.rule.warps):
            state = self._minimise(state, linearise(first, layers, state.u1, state.u2))
        return state.u1, state.u2

    def _minimise(self, state: PrimalDual, term: DataTerm) -> PrimalDual:
        """Iterate until every pair has converged or all rounds are done. Converged pairs are removed from the batch."""
        rule = self.rule
        result = PrimalDual(*(torch.empty_like(tensor) for tensor in state))
        pairs = torch.arange(len(state.u1), device=state.u1.device)
        threshold = rule.epsilon**2 * state.u1[0].numel()
        steps = rule.outer_iterations * rule.inner_iterations
        for step in range(1, steps + 1):
            if rule.median and step % rule.inner_iterations == 1 % rule.inner_iterations:
                state = state._replace(u1=median_5x5(state.u1), u2=median_5x5(state.u2))
            *tensors, change = self._iterate(*state, *term, rule.attachment * rule.theta, rule.theta, rule.tau)
            state = PrimalDual(*tensors)
            moving = change > threshold if step < steps else torch.zeros_like(change, dtype=torch.bool)
            if moving.all():
                continue
            for full, current in zip(result, state, strict=True):
                full[pairs[~moving]] = current[~moving]
            if not moving.any():
                break
            pairs = pairs[moving]
            state, term = (
                PrimalDual(*(tensor[moving] for tensor in state)),
                DataTerm(*(tensor[moving] for tensor in term)),
            )
        return result


def iterate(
    u1: Tensor, u2: Tensor, p11: Tensor, p12: Tensor, p21: Tensor, p22: Tensor,
    x: Tensor, y: Tensor, constant: Tensor, inverse: Tensor,
    most: float, theta: float, tau: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """One step for the flow and its dual variables: the tensors of the new state, then each pair's summed square change [B].

    `most` is lambda theta. It is one function of many arguments, so that the compiler makes two loops of it.
    """
    # The auxiliary flow moves along the gradient to where the residual vanishes, by at most `most`.
    moved = (-(constant + x * u1 + y * u2) * inverse).clamp(-most, most)
    new1 = u1 + moved * x + theta * _divergence(p11, p12)
    new2 = u2 + moved * y + theta * _divergence(p21, p22)
    change = ((new1 - u1).square() + (new2 - u2).square()).sum((1, 2))
    return new1, new2, *_dual(new1, p11, p12, tau / theta), *_dual(new2, p21, p22, tau / theta), change


def _dual(u: Tensor, across: Tensor, down: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """The dual variable of one component after a step along the flow's forward gradient, limited to length 1."""
    du_x = F.pad(u[:, :, 1:] - u[:, :, :-1], (0, 1))
    du_y = F.pad(u[:, 1:] - u[:, :-1], (0, 0, 0, 1))
    scale = 1 / (1 + step * (du_x * du_x + du_y * du_y).sqrt())
    return (across + step * du_x) * scale, (down + step * du_y) * scale


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    """The divergence by backward differences, with 0 outside of the image."""
    return across - F.pad(across[:, :, :-1], (1, 0)) + (down - F.pad(down[:, :-1], (0, 0, 1, 0)))


def centred_gradient(image_BHW: Tensor) -> tuple[Tensor, Tensor]:
    """Half the difference of the two neighbours, horizontally and vertically; the image is padded with border pixels."""
    padded = F.pad(image_BHW[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across, down = padded[:, 1:-1], padded[:, :, 1:-1]
    return 0.5 * (across[:, :, 2:] - across[:, :, :-2]), 0.5 * (down[:, 2:] - down[:, :-2])


def linearise(first_BHW: Tensor, layers_B3HW: Tensor, u1: Tensor, u2: Tensor) -> DataTerm:
    """The data term at flow (u1, u2). `layers` are the second frame and its gradient, sampled bicubically (a = -0.75)."""
    height, width = first_BHW.shape[1:]
    columns = torch.arange(width, device=u1.device, dtype=u1.dtype)
    rows = torch.arange(height, device=u1.device, dtype=u1.dtype)[:, None]
    grid = torch.stack(((2 * (columns + u1) + 1) / width - 1, (2 * (rows + u2) + 1) / height - 1), dim=-1)
    warped, x, y = F.grid_sample(layers_B3HW, grid, mode="bicubic", padding_mode="zeros", align_corners=False).unbind(1)
    square = x * x + y * y
    inverse = torch.where(square > torch.finfo(square.dtype).eps, 1 / square, 0)
    return DataTerm(x.contiguous(), y.contiguous(), warped - x * u1 - y * u2 - first_BHW, inverse)


def resize_aligned(image_BHW: Tensor, size: Size) -> Tensor:
    """Resize so that the outer borders of both pixel grids coincide."""
    return resize_by_step(image_BHW, size, (image_BHW.shape[1] / size[0], image_BHW.shape[2] / size[1]))


def resize_by_step(image_BHW: Tensor, size: Size, step: tuple[float, float]) -> Tensor:
    """Resize bilinearly without antialias (OpenCV's INTER_LINEAR). `step` is (height, width) of a new pixel in old ones.

    `step` may differ from the ratio of the sizes: OpenCV rounds the size, but uses the given factor.
    """
    low, high, share = _neighbours(image_BHW, 1, size[0], step[0])
    image_BHW = torch.lerp(image_BHW[:, low], image_BHW[:, high], share[:, None])
    low, high, share = _neighbours(image_BHW, 2, size[1], step[1])
    return torch.lerp(image_BHW[:, :, low], image_BHW[:, :, high], share)


def _neighbours(image: Tensor, dimension: int, count: int, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """For each new position, the indices of the two old pixels around it, and its distance from the first, 0..1."""
    last = image.shape[dimension] - 1
    # In float64 on the CPU: MPS has none.
    position = ((torch.arange(count, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, last)
    low = position.floor()
    share = (position - low).to(image.dtype)
    low, high, share = (tensor.to(image.device) for tensor in (low.long(), (low + 1).clamp(max=last).long(), share))
    return low, high, share
