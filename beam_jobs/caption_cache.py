"""The embeddings of the bundled vocabularies, kept once a user: made anew for each crate they cost more than the demo.

They are not shipped: 100,000 captions make 51 MB, and another model, version of torch or kind of CPU moves their last
bits. So they lie in the user's cache, one folder for each of those, and are copied into a crate, which stays whole.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from pathlib import Path

from labeling.search.caption_embeddings import embeddings_stand, seal_embeddings
from pipeline.crate.seals import changed_files, read_sealed
from pipeline.errors import CratedigError
from pipeline.ids import content_hash
from pipeline.installation import deciding_versions
from pipeline.storage import Storage
from vocab.store import BUNDLED_FOLDER

__all__ = ["cache_folder", "keep_embeddings", "take_embeddings"]

_PIECE = 1 << 22


def cache_folder(vocabulary: str, device: str) -> Storage | None:
    """Where the embeddings of this vocabulary are kept on this machine.

    None for a vocabulary that is not bundled (its matrix may lie beside it, `cratedig vocab embed`), for a GPU, and
    where the user has no folder to keep anything in.
    """
    from labeling.embedders.torch_device import choose_device

    if Path(vocabulary).parent != BUNDLED_FOLDER or choose_device(device).type != "cpu":
        return None
    import torch

    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        home = Path(given) if given else Path.home() / ".cache"
    except RuntimeError:
        return None
    kind = f"{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}"
    return Storage(home / "cratedig" / "captions" / f"{kind}-{content_hash(deciding_versions())}")


def take_embeddings(cache: Storage | None, name: str, into: Storage) -> bool:
    """Copy the matrix out of the cache; False where it is not there, or not what was written."""
    with contextlib.suppress(OSError, CratedigError):
        if cache is None or not embeddings_stand(cache, name):
            return False
        if list(changed_files(cache, read_sealed(cache, f"{name}.json")["files"])):
            cache.remove(name)
            return False
        _copy(cache, into, name)
        return True
    return False


def keep_embeddings(cache: Storage | None, name: str, made: Storage) -> None:
    """Copy a matrix into the cache; where that cannot be written it is made again next time."""
    with contextlib.suppress(OSError, CratedigError):
        if cache is not None and not embeddings_stand(cache, name):
            _copy(made, cache, name)


def _copy(source: Storage, target: Storage, name: str) -> None:
    with source.open(name) as matrix, target.write(name) as file:
        shutil.copyfileobj(matrix, file, _PIECE)
    seal_embeddings(target, name, file)
