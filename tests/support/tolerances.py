"""Every tolerance of the suite, once, with its reason."""

GOLDEN_LOGITS = 1e-3
"""max|difference| over the standard deviation of the logits, against another toolkit's network. Two correct
implementations differ by about 1e-5 (thread count alone), 152 layers by 1e-4; a wrong epsilon or one ReLU too
many by more than 1e-2."""

ILL_CONDITIONED = {"mmaction1/ipcsn_r152_32x2_k400_dw": 8e-3}
"""Pairs whose network amplifies the roundings of float32 about 100,000 times: how far float32 logits are from the float64
logits of the same network and input, over the standard deviation of the logits. The toolkit's own float32 logits lie
7.3e-3 from our float64 ones, our float32 logits 3.8e-3 to 7.9e-3 (SSE, AVX2 and AVX-512; 1 to 8 threads), so that two
right float32 results may differ by more than GOLDEN_LOGITS. Such a pair is compared in float64, which neither the CPU nor
the number of threads moves: the recorded logits must lie within this distance. A ReLU too many moves the float64 logits
by 0.8 deviations, norms with another epsilon by 0.9 and more.

`make test` compares such a pair in float64 only. A slow test (`make test-all`) computes anew how far our float32 logits
are from the float64 ones, and allows a quarter of this distance to twice as much: it is the largest of the few CPUs and
thread counts that were measured, and one that was not adds in another order, so that its roundings are others of the same
size. A fault of the network is caught by the comparison in float64, not by this range."""

DISTRIBUTED = 1e-5
"""Two processes against one with the same global batch: sums are added in another order, nothing else differs."""

PIXELS_FLOAT = 1e-5
"""Normalised pixels of a float rule: the toolkits normalise before the resize, we after it, which is the same sum but
for float32 rounding (about 1e-6 at values of 2). Rules on uint8 are compared bit for bit."""

LEARNING_RATE = 1e-9
"""Relative, against the rate that a toolkit's own scheduler set: the same float64 formula in another order."""

TRAINED_TENSOR = 1e-6
"""After five optimiser steps in float64, over each tensor's root mean square: the badly conditioned small network turns
input noise of 1e-13 into 7e-10, and probes are recorded with ten digits."""

FLOW_AGREEMENT = 0.02
"""Mean end-point error, in pixels, of our TV-L1 against OpenCV's on small noisy pairs: 0.01. OpenCV's own answer moves as
much when 1e-5 grey levels of noise are added (five warps at five scales amplify roundings where the data say nothing);
leaving out the median, a warp or a scale moves it by 0.05 and more."""

FLOW_REAL = 0.05
"""The same on real video at 170x128, where a pair may have large regions without texture."""

FLOW_FUSED = 2e-3
"""Pixels at the most, fused against plain TV-L1 where few warps do not amplify roundings yet."""

NORM_STATISTICS = 1e-4
"""Relative, of a mean and a variance over thousands of float32 values, against the same in float64; unbiased variances
and running averages of the same values differ by 1e-3 and more."""

PLANES_SCORE = 0.1
"""What Marey's fast way from YUV to RGB may move a logit by, in standard deviations of the logits: 0.02 on average over
four films, 0.04 at most (docs/rules.md); swapping red and blue moves it by 0.5."""

INFLATED = 1e-4
"""A motionless clip through an inflated network against its picture through the 2D network, over the largest feature:
sums of three thirds in float32, through up to fifty layers, differ by about 1e-6."""

FOLDED = 1e-4
"""A network with batch norms folded into its convolutions against itself, over the largest value: the same products rounded
in another order, 1e-6 to 1e-5. A norm that is folded with a wrong epsilon or left out differs by more than 1e-2."""

HALF_CELLS = 1e-3
"""Features pooled from cells in half precision, against the network's own, over the largest feature: each cell is rounded by
at most 5e-4 of itself, and means of them by less."""
