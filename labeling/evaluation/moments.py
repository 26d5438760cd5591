"""Mean and covariance of vectors that come in pieces, and the file in which they are kept.

N vectors, D dimensions.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadInput
from pipeline.threads import one_blas_thread

__all__ = ["Moments", "read_moments", "write_moments"]

_BLOCK = 4_096


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of N vectors, in float64."""

    count: int
    """N; 0 where a file does not say how many it was made of."""
    mean_D: NDArray[np.float64]
    covariance_DD: NDArray[np.float64]
    """Divided by N - 1, as `numpy.cov` does; zero for a single vector."""

    @property
    def dimension(self) -> int:
        return len(self.mean_D)

    @classmethod
    @one_blas_thread()
    def of(cls, vectors_ND: NDArray[np.floating]) -> Moments:
        """In blocks, so that only a block is widened to float64."""
        whole = cls.nothing(vectors_ND.shape[1])
        for start in range(0, len(vectors_ND), _BLOCK):
            block_ND = vectors_ND[start : start + _BLOCK].astype(np.float64)
            mean_D = block_ND.mean(axis=0)
            centred_ND = block_ND - mean_D
            covariance_DD = centred_ND.T @ centred_ND / max(len(block_ND) - 1, 1)
            whole = whole.with_others(cls(count=len(block_ND), mean_D=mean_D, covariance_DD=covariance_DD))
        return whole

    @classmethod
    def nothing(cls, dimension: int) -> Moments:
        """Of no vector: where summing begins."""
        return cls(count=0, mean_D=np.zeros(dimension), covariance_DD=np.zeros((dimension, dimension)))

    def with_others(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub and LeVeque 1979)."""
        if not self.count or not other.count:
            return other if other.count else self
        count = self.count + other.count
        apart_D = other.mean_D - self.mean_D
        scatter_DD = (
            max(self.count - 1, 0) * self.covariance_DD
            + max(other.count - 1, 0) * other.covariance_DD
            + np.outer(apart_D, apart_D) * (self.count * other.count / count)
        )
        return Moments(
            count=count,
            mean_D=self.mean_D + apart_D * (other.count / count),
            covariance_DD=scatter_DD / (count - 1),
        )


def write_moments(moments: Moments, about: Mapping[str, Any], name: str) -> bytes:
    """An .npz with `NAME.mu` and `NAME.cov`, which fadtk reads for its model NAME, and what we know beside them."""
    buffer = io.BytesIO()
    arrays = {
        f"{name}.mu": moments.mean_D,
        f"{name}.cov": moments.covariance_DD,
        "count": np.int64(moments.count),
        "about": np.array(json.dumps(dict(about), sort_keys=True)),
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_moments(data: bytes, source: str, *, wanted: str = "") -> tuple[Moments, dict[str, Any]]:
    """Statistics and what is said of them: a file of ours, fadtk's (`MODEL.mu`), or plain `mu` with `cov` or `sigma`.

    wanted: which model, where a file holds those of several. Raises BadInput for anything else.
    """
    expected = "expected an .npz with mu and cov, as cratedig and fadtk write it"
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, zipfile.BadZipFile, KeyError) as error:
        raise BadInput(f"{source} is no file of statistics ({str(error).splitlines()[0]}); {expected}") from error
    models = sorted(key.removesuffix(".mu") for key in arrays if key.endswith(".mu"))
    model = wanted if wanted in models else models[0] if len(models) == 1 else ""
    if not model and len(models) > 1:
        raise BadInput(f"{source} holds statistics of {', '.join(models)} and not of {wanted!r}; take one of these")
    prefix = f"{model}." if model else ""
    mean = arrays.get(f"{prefix}mu")
    covariance = arrays.get(f"{prefix}cov", arrays.get(f"{prefix}sigma"))
    if mean is None or covariance is None:
        raise BadInput(f"{source} holds {', '.join(sorted(arrays)) or 'nothing'}; {expected}")
    mean_D, covariance_DD = np.atleast_1d(mean).astype(np.float64), np.atleast_2d(covariance).astype(np.float64)
    if mean_D.ndim != 1 or covariance_DD.shape != (len(mean_D), len(mean_D)):
        raise BadInput(f"{source}: mu has shape {mean_D.shape}, cov {covariance_DD.shape}; they do not belong together")
    if not (np.isfinite(mean_D).all() and np.isfinite(covariance_DD).all()):
        raise BadInput(f"{source} holds NaN or infinity; make the statistics again")
    about = json.loads(str(arrays["about"])) if "about" in arrays else {}
    count = int(arrays["count"]) if "count" in arrays else 0
    return Moments(count=count, mean_D=mean_D, covariance_DD=covariance_DD), about
