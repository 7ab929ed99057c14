"""Programs inside PyTorch: autograd and its transforms, and modules. Imported where torch is used.

engine      a program on tensors, without autograd
functions   two `autograd.Function`s around it, and what they are under every transform
module      `nn.Module`s
"""
