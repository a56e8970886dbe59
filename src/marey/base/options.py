"""Types of options that several packages share: arithmetic and precision, and when to fine-tune. They need no torch."""

from typing import Literal, TypeAlias

Arithmetic = Literal["float32", "tf32", "bfloat16"]
"""The arithmetic of a network's convolutions and matrix products.

"float32" is float32 on every device, without TF32. "tf32" is float32 whose factors NVIDIA's tensor cores round to 10
bits of mantissa. "bfloat16" is torch's autocast to bfloat16.
"""

Precision = Literal["auto", "float32", "tf32", "bfloat16"]
"""The arithmetic that a caller asks for. "auto" is the recipe's in training, and float32 elsewhere."""

Finetune: TypeAlias = Literal["auto", "always", "never"]
"""Whether a network is fine-tuned after a classifier was fitted on its features. "auto": if the allowed time suffices."""
