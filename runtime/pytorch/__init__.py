"""Programs inside PyTorch: autograd and its transforms, and modules. Imported where torch is used.

engine      a program on tensors, without autograd
functions   two `autograd.Function`s around it, and what they are under every transform
ops         the same as custom ops, for graphs
module      a cell as an `nn.Module`; `layer` is what all modules have in common
stack, bidirectional, stateful      modules made of modules
tbptt       truncated backpropagation through time along a stream
drop_in     modules in place of PyTorch's own

No line asks for the version of torch. What graphs read is written so that Dynamo of torch 2.6 reads
it, too: no `next` with a default, and `unsqueeze(1)` for `[:, None]`, a slice which it would take
for a condition on the length.
"""
