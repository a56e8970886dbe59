"""The arithmetics that a network can run in, by name."""

from typing import Literal

Arithmetic = Literal["float32", "tf32", "bfloat16"]
"""What a network's convolutions and matrix products run in.

"float32" is float32 on every device, without TF32. "tf32" is float32 whose factors NVIDIA's tensor cores round to 10
bits. "bfloat16" is torch's autocast to bfloat16.
"""

Precision = Literal["auto", "float32", "tf32", "bfloat16"]
"""What a caller asks for. "auto" is the recipe's in training and float32 elsewhere."""
