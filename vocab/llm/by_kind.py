"""One door to the language models: the backend that the settings name."""

from __future__ import annotations

from vocab.llm.backend import Backend, BackendSettings

__all__ = ["open_backend"]


def open_backend(settings: BackendSettings) -> Backend:
    """Load the model, or check that the server is there and serves it."""
    if settings.kind == "vllm":
        from vocab.llm.backend_vllm import VllmBackend

        return VllmBackend(settings)
    if settings.kind == "transformers":
        from vocab.llm.backend_transformers import TransformersBackend

        return TransformersBackend(settings)
    if settings.kind == "batch":
        from vocab.llm.backend_batch import BatchBackend

        return BatchBackend(settings)
    from vocab.llm.backend_server import ServerBackend

    return ServerBackend(settings)
