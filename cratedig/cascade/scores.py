"""What a stage in training is worth to a judge: a small fixed set of held-out clips, generated and scored.

B clips, D dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusion.training.trainer import Trainer
    from labeling.embedders.embedder import Embedder

__all__ = ["HELD_OUT_CLIPS", "score_trainer"]

HELD_OUT_CLIPS = 8


def score_trainer(trainer: Trainer, judge: Embedder) -> dict[str, float]:
    """A line in the run's scores.jsonl, and TensorBoard; main process only.

    `similarity` of what was made to its words, `similarity_shuffled` to another clip's, `similarity_truth` of the real
    clips to theirs; `to_truth` of each clip made to its real one; `kernel`, the distance of the two sets (of so few
    clips it is good for a trend alone).
    """
    import numpy as np
    import soxr

    from diffusion.generation.wav import mono_mix
    from diffusion.training.demos import held_out_samples
    from labeling.evaluation.kernel import kernel_distance

    if not trainer.accelerator.is_main_process:
        return {}
    clips = min(HELD_OUT_CLIPS, trainer.held_out.order.clips)
    samples = held_out_samples(trainer, clips)

    def heard(audio: list[np.ndarray]) -> np.ndarray:
        rate = judge.card.sample_rate_hz
        return judge.embed_clips(
            [np.asarray(soxr.resample(mono_mix(clip), samples.sample_rate_hz, rate), np.float32) for clip in audio]
        )

    made_BD, truth_BD = heard(samples.made), heard(samples.truth)
    values = {"to_truth": _mean(made_BD, truth_BD)}
    if clips > 2:
        values["kernel"] = round(kernel_distance(truth_BD, made_BD), 6)
    if samples.texts is not None:
        words_BD = judge.embed_text(samples.texts)
        values |= {
            "similarity": _mean(made_BD, words_BD),
            "similarity_shuffled": _mean(made_BD, np.roll(words_BD, 1, axis=0)),
            "similarity_truth": _mean(truth_BD, words_BD),
        }
    trainer.log.scores(trainer.step, values)
    return values


def _mean(a_BD: object, b_BD: object) -> float:
    import numpy as np

    return round(float((np.asarray(a_BD) * np.asarray(b_BD)).sum(axis=1).mean()), 5)
