"""What runs a network on batches of views: PyTorch, or a function that a compiler made of the network.

In reading order:

- `compute`: `Compute`, the settings of where and how a network computes
- `backend`: `Backend`, the interface, and `BackendReport`
- `eager`: PyTorch, the reference
- `compiled`: `Compiler`, the interface of `torch_compile` and `openvino`, and the backend that checks their functions
- `auto`: measures which backend is fastest
- `choose`: the backend that the user asks for
- `device`, `precision`, `memory`: what a machine has, and torch's settings

It exports nothing; import from its modules.

May import: base, classifier.
"""
