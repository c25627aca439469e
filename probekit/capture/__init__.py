"""One forward pass of an unmodified network: places named and found in it, read and edited by hooks."""
