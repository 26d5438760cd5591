"""llama.cpp's own OpenAI server around a GGUF file, on one thread: python llama_server.py FILE NAME PORT.

Wants xllamacpp (`make llm`). Prints `ready` when the model is loaded.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    import xllamacpp

    file, name, port = sys.argv[1:]
    settings = xllamacpp.CommonParams()
    settings.model.path = file
    settings.model_alias = {name}
    settings.hostnames = ["127.0.0.1"]
    settings.port = int(port)
    settings.n_parallel = 2
    settings.n_ctx = 2 * 2048
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.use_jinja = True
    server = xllamacpp.Server(settings)
    print("ready", server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
