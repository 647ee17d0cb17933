"""How a step is computed: on what, what together, in whose memory.

device.py         device, precision, threads      batches.py          what is computed together
packing.py attention.py  several in one row       last_layer.py       only what the head reads
embedding_gradient.py  only of tokens that occur  allocation.py       freed memory, kept
memory.py         memory that runs out            sharing.py sharding.py  several processes
"""
