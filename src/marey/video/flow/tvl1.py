"""TV-L1 optical flow in torch: many pairs of pictures at once, on any device.

Zach, Pock and Bischof, A Duality Based Approach for Realtime TV-L1 Optical Flow, DAGM 2007; Sánchez, Meinhardt-Llopis and
Facciolo, TV-L1 Optical Flow Estimation, IPOL 2013. The flow u minimises, summed over the picture,

    |grad u1| + |grad u2| + lambda |I1(x + u) - I0(x)|

From coarse to fine; at each scale the second picture is warped by u, its brightness linearised there, and the sum
minimised by turns in an auxiliary flow (per pixel, by thresholding) and in u (by the dual of its gradient). Every detail
that moves the answer is that of OpenCV's `DualTVL1OpticalFlow`: stencils, sizes of the scales, cubic warping that sees 0
outside of the picture, the median before each round, and the end of a warp as soon as the mean square change of the
flow falls to epsilon^2.

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
"""No scale has a shorter side, in pixels."""


class Pull(NamedTuple):
    """Where the data draw the flow to at one warp: with the warped gradient (x, y), the residual at flow u is
    `constant` + x u1 + y u2. Each [B, H, W].
    """

    x: Tensor
    y: Tensor
    constant: Tensor
    inverse: Tensor
    """1 / (x^2 + y^2), or 0 where the picture is flat."""


class State(NamedTuple):
    """The flow (u1 across, u2 down) and the dual variables of their gradients (across, down). Each [B, H, W]."""

    u1: Tensor
    u2: Tensor
    p11: Tensor
    p12: Tensor
    p21: Tensor
    p22: Tensor


class TorchEstimator:
    """TV-L1 on a device, so many pairs at a time as suit it.

    `compiled` fuses the inner iteration: the first call then takes up to a minute, later processes a few seconds. Where
    the compiler fails (there may be none) it says so and runs without, which costs twice the time.
    """

    def __init__(self, rule: "TVL1", device: str, *, compiled: bool) -> None:
        try:
            self.device = torch.device(device)
            torch.ones(1, device=self.device).cpu()
        except (RuntimeError, AssertionError) as error:
            raise DataError(
                f"--device {device}: torch has no such device here ({str(error).splitlines()[0]})."
            ) from None
        # On a CPU a pair that stops early leaves nothing idle, and its arrays stay in the cache.
        self.at_once = 1 if self.device.type == "cpu" else 32
        self._solve = Solver(rule)
        if compiled:
            try:
                solve = Solver(rule, compiled=True)
                solve(*torch.zeros(2, self.at_once, 32, 40, device=self.device))
                self._solve = solve
            except Exception as error:  # whatever a compiler may meet, the work can be done without it
                warning_once(
                    f"flow: torch.compile does not work here ({type(error).__name__}); going on without, more slowly"
                )

    def __call__(self, first_THW: "Grey", second_THW: "Grey") -> "Flow":
        fields = np.empty((*first_THW.shape, 2), np.float32)
        for start in range(0, len(fields), self.at_once):
            part = slice(start, start + self.at_once)
            pair = (torch.from_numpy(grey[part]).to(self.device) for grey in (first_THW, second_THW))
            fields[part] = self._solve(*pair).cpu().numpy()
        return fields


class Solver:
    """Solves TV-L1 by a rule's parameters; `compiled` fuses the inner iteration by `torch.compile`."""

    def __init__(self, rule: "TVL1", *, compiled: bool = False) -> None:
        self.rule = rule
        # One compilation serves all sizes: scales and pictures differ.
        self._iterate = torch.compile(iterate, dynamic=True) if compiled else iterate

    @torch.no_grad()
    def __call__(self, first_BHW: Tensor, second_BHW: Tensor) -> Tensor:
        """Flow float32 [B, H, W, 2] (x, y; pixels) from the first to the second grey pictures, in levels 0..255."""
        scales = [(first_BHW.float(), second_BHW.float())]
        while len(scales) < self.rule.scales and (size := self._coarser(scales[-1][0])) is not None:
            first, second = scales[-1]
            scales.append((self._shrunk(first, size), self._shrunk(second, size)))
        u1 = u2 = torch.zeros_like(scales[-1][0])
        for first, second in reversed(scales):
            if u1.shape != first.shape:
                u1, u2 = (stretched(u, (first.shape[1], first.shape[2])) / self.rule.scale_step for u in (u1, u2))
            u1, u2 = self._one_scale(first, second, u1, u2)
        return torch.stack((u1, u2), dim=-1)

    def _coarser(self, image: Tensor) -> Size | None:
        height, width = (round(side * self.rule.scale_step) for side in image.shape[1:])
        return (height, width) if min(height, width) >= _SMALLEST else None

    def _shrunk(self, image: Tensor, size: Size) -> Tensor:
        return resize(image, size, (1 / self.rule.scale_step, 1 / self.rule.scale_step))

    def _one_scale(self, first: Tensor, second: Tensor, u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor]:
        """Better the flow by some warps of the second picture; the dual variables live on from warp to warp."""
        layers = torch.stack((second, *centred_gradient(second)), dim=1)
        zero = torch.zeros_like(first)
        state = State(u1, u2, zero, zero, zero, zero)
        for _ in range(self.rule.warps):
            state = self._minimise(state, linearise(first, layers, state.u1, state.u2))
        return state.u1, state.u2

    def _minimise(self, state: State, pull: Pull) -> State:
        """Iterate until every pair has come to rest or all rounds are over. Pairs at rest leave the batch."""
        rule = self.rule
        whole = State(*(torch.empty_like(part) for part in state))
        pairs = torch.arange(len(state.u1), device=state.u1.device)
        at_rest = rule.epsilon**2 * state.u1[0].numel()
        steps = rule.outer_iterations * rule.inner_iterations
        for step in range(1, steps + 1):
            if rule.median and step % rule.inner_iterations == 1 % rule.inner_iterations:
                state = state._replace(u1=median_5x5(state.u1), u2=median_5x5(state.u2))
            *parts, change = self._iterate(*state, *pull, rule.attachment * rule.theta, rule.theta, rule.tau)
            state = State(*parts)
            moving = change > at_rest if step < steps else torch.zeros_like(change, dtype=torch.bool)
            if moving.all():
                continue
            for full, part in zip(whole, state, strict=True):
                full[pairs[~moving]] = part[~moving]
            if not moving.any():
                break
            pairs = pairs[moving]
            state, pull = State(*(part[moving] for part in state)), Pull(*(part[moving] for part in pull))
        return whole


def iterate(
    u1: Tensor, u2: Tensor, p11: Tensor, p12: Tensor, p21: Tensor, p22: Tensor,
    x: Tensor, y: Tensor, constant: Tensor, inverse: Tensor,
    most: float, theta: float, tau: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """One step for the flow and its dual variables: the new state's parts, then each pair's summed square change [B].

    `most` is lambda theta. Kept in one function of many arguments, so that the compiler makes two loops of it.
    """
    # The auxiliary flow lies along the gradient, drawn to where the residual vanishes, but never by more than `most`.
    pulled = (-(constant + x * u1 + y * u2) * inverse).clamp(-most, most)
    new1 = u1 + pulled * x + theta * _divergence(p11, p12)
    new2 = u2 + pulled * y + theta * _divergence(p21, p22)
    change = ((new1 - u1).square() + (new2 - u2).square()).sum((1, 2))
    return new1, new2, *_dual(new1, p11, p12, tau / theta), *_dual(new2, p21, p22, tau / theta), change


def _dual(u: Tensor, across: Tensor, down: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """The dual variable of one component after a step along the flow's forward gradient, held to length 1."""
    du_x = F.pad(u[:, :, 1:] - u[:, :, :-1], (0, 1))
    du_y = F.pad(u[:, 1:] - u[:, :-1], (0, 0, 0, 1))
    scale = 1 / (1 + step * (du_x * du_x + du_y * du_y).sqrt())
    return (across + step * du_x) * scale, (down + step * du_y) * scale


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    """By backward differences; outside of the picture lies 0."""
    return across - F.pad(across[:, :, :-1], (1, 0)) + (down - F.pad(down[:, :-1], (0, 0, 1, 0)))


def centred_gradient(image_BHW: Tensor) -> tuple[Tensor, Tensor]:
    """Half the difference of the two neighbours, across and down; beyond the border the nearest pixel counts."""
    padded = F.pad(image_BHW[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across, down = padded[:, 1:-1], padded[:, :, 1:-1]
    return 0.5 * (across[:, :, 2:] - across[:, :, :-2]), 0.5 * (down[:, 2:] - down[:, :-2])


def linearise(first_BHW: Tensor, layers_B3HW: Tensor, u1: Tensor, u2: Tensor) -> Pull:
    """The pull at flow (u1, u2); `layers` are the second picture and its gradient, sampled bicubically (a = -0.75)."""
    height, width = first_BHW.shape[1:]
    columns = torch.arange(width, device=u1.device, dtype=u1.dtype)
    rows = torch.arange(height, device=u1.device, dtype=u1.dtype)[:, None]
    grid = torch.stack(((2 * (columns + u1) + 1) / width - 1, (2 * (rows + u2) + 1) / height - 1), dim=-1)
    warped, x, y = F.grid_sample(layers_B3HW, grid, mode="bicubic", padding_mode="zeros", align_corners=False).unbind(1)
    square = x * x + y * y
    inverse = torch.where(square > torch.finfo(square.dtype).eps, 1 / square, 0)
    return Pull(x.contiguous(), y.contiguous(), warped - x * u1 - y * u2 - first_BHW, inverse)


def stretched(image_BHW: Tensor, size: Size) -> Tensor:
    """Resized so that the outer borders of both grids meet."""
    return resize(image_BHW, size, (image_BHW.shape[1] / size[0], image_BHW.shape[2] / size[1]))


def resize(image_BHW: Tensor, size: Size, step: tuple[float, float]) -> Tensor:
    """Bilinear, without antialias; a new pixel is `step` old ones high and wide (OpenCV's INTER_LINEAR).

    `step` need not be the ratio of the sizes: OpenCV rounds the size, but keeps the factor that it was given.
    """
    low, high, share = _places(image_BHW, 1, size[0], step[0])
    image_BHW = torch.lerp(image_BHW[:, low], image_BHW[:, high], share[:, None])
    low, high, share = _places(image_BHW, 2, size[1], step[1])
    return torch.lerp(image_BHW[:, :, low], image_BHW[:, :, high], share)


def _places(image: Tensor, dimension: int, count: int, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """For each new place the two old ones that it lies between, and how far it lies from the first of them, 0..1."""
    last = image.shape[dimension] - 1
    # In float64 on the CPU: MPS has none.
    place = ((torch.arange(count, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, last)
    low = place.floor()
    share = (place - low).to(image.dtype)
    low, high, share = (part.to(image.device) for part in (low.long(), (low + 1).clamp(max=last).long(), share))
    return low, high, share
