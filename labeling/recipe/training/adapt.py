"""What unlabelled recordings teach: three losses, and composed windows in recordings' tone.

B composed windows, T tracks (two windows of each), F frames, M mel bands, D embedding, N facts.

Composed music knows its facts and sounds like itself. Recordings know none, but two windows of a track agree about most
of them, different tracks differ, and facts are about as frequent as in composed music.
"""

from __future__ import annotations

import torch

__all__ = ["in_tone_of", "moments_apart", "same_facts", "same_track"]

_TEMPERATURE = 0.1
_REACH = 8
"""Bands on each side over which a difference in tone is smoothed: an equaliser, no filter of single partials."""
_LARGEST_DB = 20.0
_SPREAD_FLOOR_DB = 3.0


def same_track(embeddings_2TD: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of finding a track's other window among all windows (NT-Xent; Chen et al., 2020). Unit length."""
    tracks = embeddings_2TD.shape[1]
    all_XD = embeddings_2TD.flatten(0, 1)
    similarity_XX = all_XD @ all_XD.T / _TEMPERATURE
    similarity_XX = similarity_XX.masked_fill(torch.eye(2 * tracks, dtype=torch.bool, device=all_XD.device), -1e9)
    other_X = torch.arange(2 * tracks, device=all_XD.device).roll(tracks)
    return torch.nn.functional.cross_entropy(similarity_XX, other_X)


def same_facts(logits_2TN: torch.Tensor, composed_BN: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each window's facts against what the other window of its track says of them, that moved and
    stretched, fact by fact, to the mean and spread of the composed windows of the step."""
    with torch.no_grad():
        said_2TN = logits_2TN.flip(0)
        mean_N, spread_N = said_2TN.mean((0, 1)), said_2TN.std((0, 1))
        aligned_2TN = (said_2TN - mean_N) / (spread_N + 0.1) * composed_BN.std(0) + composed_BN.mean(0)
        target_2TN = torch.sigmoid(aligned_2TN)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits_2TN, target_2TN, reduction="none")
    return loss.sum(-1).mean() / 6


def moments_apart(composed_BD: torch.Tensor, recorded_XD: torch.Tensor) -> torch.Tensor:
    """How far mean and covariance of both are apart (CORAL; Sun and Saenko, 2016), in units of their spreads: that both
    shrink to a point brings them no closer."""
    mean_D, other_D = composed_BD.mean(0), recorded_XD.mean(0)
    a_BD, b_XD = composed_BD - mean_D, recorded_XD - other_D
    a_DD, b_DD = a_BD.T @ a_BD / len(a_BD), b_XD.T @ b_XD / len(b_XD)
    means = 2 * (mean_D - other_D).square().sum() / (a_DD.trace() + b_DD.trace())
    return means + (a_DD - b_DD).square().sum() / (a_DD.norm() * b_DD.norm())


def in_tone_of(mels_BFM: torch.Tensor, recorded_BFM: torch.Tensor, share_B: torch.Tensor) -> torch.Tensor:
    """Each window part of the way towards a recording's mean level and spread in every band, smoothed over bands."""
    share_BM = share_B[:, None].clamp(0, 1)
    mean_BM, spread_BM = mels_BFM.mean(1), mels_BFM.std(1)
    tone_BM = _smoothed(recorded_BFM.mean(1) - mean_BM).clamp(-_LARGEST_DB, _LARGEST_DB) * share_BM
    wider_BM = (recorded_BFM.std(1) + _SPREAD_FLOOR_DB) / (spread_BM + _SPREAD_FLOOR_DB)
    wider_BM = _smoothed(wider_BM.log()).clamp(-0.5, 0.5).mul(share_BM).exp()
    return (mels_BFM - mean_BM[:, None]) * wider_BM[:, None] + (mean_BM + tone_BM)[:, None]


def _smoothed(bands_BM: torch.Tensor) -> torch.Tensor:
    width = 2 * _REACH + 1
    padded = torch.nn.functional.pad(bands_BM[:, None], (_REACH, _REACH), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, width, stride=1)[:, 0]
