"""Formats of weights files: readers that run no code of a file, and descriptions of files that are no checkpoint.

- `find_checkpoint`: the checkpoint that a folder or a training state stands for.
- `torch_files`: torch.save and .safetensors.
- `caffe2`: pickles of Caffe2.
- `tensorflow`: TensorFlow checkpoints, read without TensorFlow.
- `crc32c`: the checksum of TensorFlow's files.
- `other_formats`: web pages, archives and formats that are not read.

It exports nothing; import from its modules.

May import: base, video.
"""
