"""The layers of our networks: each convolution with its norm, and where in the network it is; configs inferred from shapes.

- `resnet`: ResNets of TSN, TSM, C2D, I3D, SlowOnly and SlowFast.
- `factorised`: R(2+1)D and CSN.
- `inception`: Inception-V1 and BN-Inception.
- `efficientnet_lite`: EfficientNet-Lite.

It exports nothing; import from its modules.

May import: models, weights.layouts.
"""
