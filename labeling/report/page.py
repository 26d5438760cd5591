"""`report/index.html`: one page that needs nothing else, with the figures, and clips to look at and listen to."""

from __future__ import annotations

import base64
import hashlib
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.scoring import chance_to_hold
from labeling.report.charts import histogram_chart, rank_chart
from labeling.report.pictures import encode_mp3, mel_picture, mel_position
from labeling.report.runs import ReportRun, choose_run
from labeling.report.sample import Place, PlacesWatcher, SampledClip, read_sample
from labeling.report.slots import METHODS, SlotFigures
from labeling.report.stats import CrateStats, StatsWatcher
from labeling.report.totals import LISTED_REJECTS
from labeling.search.candidates import CandidateSet, read_mean
from labeling.search.stated import instrument_of, read_fact_vectors
from pipeline.audio.flac import decode_flac
from pipeline.crate.crate import Crate
from pipeline.crate.dataset import Watcher, read_once
from pipeline.errors import BadInput
from pipeline.records import Proof
from vocab.grammar.lexicon import stated_facts

__all__ = ["PAGE", "STATS", "Report", "write_report"]

PAGE, STATS = "report/index.html", "stats.json"
_HERE = Path(__file__).parent
_PLAYED_S = 60.0
"""A longer clip is played and drawn so far only."""
_AXIS_HZ = (100, 500, 1_000, 2_000, 4_000, 8_000)
_MOST_CLIPS = 500
"""About 170 MB of page; browsers give up soon after."""


class Report:
    """A page on its way: its watchers see the crate (`read_once`, or `verify_crate` on the side), then it is written.

    run: a label run's name; the newest finished one by default, none in a crate without labels. vocabularies: slot ->
    file, for a run whose vocabularies aren't bundled: it gives texts to captions that no clip got, and embeddings that
    lie there. Raises CrateMismatch for a crate whose clips aren't finished.
    """

    def __init__(
        self, crate: Crate, run: str = "", *, clips: int = 12, vocabularies: Mapping[str, str] | None = None
    ) -> None:
        if not 0 <= clips <= _MOST_CLIPS:
            raise BadInput(
                f"clips is {clips}; expected 0 to {_MOST_CLIPS}, since each takes about a third of a megabyte"
            )
        crate.require_clips()
        self._crate, self._places = crate, PlacesWatcher(clips)
        self._stats = StatsWatcher(crate, choose_run(crate, run), vocabularies=vocabularies)

    @property
    def watchers(self) -> list[Watcher]:
        return [self._places, *self._stats.watchers]

    def write(self, proof: Proof | None = None) -> str:
        """Write `stats.json` and `report/index.html` into the crate; returns where the page lies.

        proof: of a verification just made, else files were not hashed for it.
        """
        storage, stats = self._crate.storage, self._stats.stats(proof)
        storage.write_json(STATS, stats.as_dict())
        with storage.write(PAGE) as file:
            for chunk in _render(self._crate, stats, self._places.places()):
                file.write(chunk.encode("utf-8", "replace"))
        return posixpath.join(storage.url, PAGE)


def write_report(
    crate: Crate,
    run: str = "",
    *,
    clips: int = 12,
    proof: Proof | None = None,
    vocabularies: Mapping[str, str] | None = None,
) -> str:
    """Read the crate, and write `stats.json` and `report/index.html` into it; returns where the page lies. For the
    arguments see `Report`."""
    report = Report(crate, run, clips=clips, vocabularies=vocabularies)
    read_once(crate, report.watchers)
    return report.write(proof)


def _render(crate: Crate, stats: CrateStats, places: Sequence[Place]) -> Iterator[str]:
    """The page piece by piece, so that not all of its audio is in memory at once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": _count, "clock": _clock, "size": _size, "percent": _percent, "plain": _plain}
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    slots = [_slot_context(slot) for slot in stats.slots]
    chances = _chances(crate, stats.run) if stats.run else {}
    return environment.get_template("page.html.j2").generate(
        name=posixpath.basename(crate.storage.url.rstrip("/")) or "crate",
        crate=crate,
        stats=stats,
        totals=stats.totals,
        run=stats.run,
        slots=slots,
        clips=(_clip_context(clip, stats.run, chances) for clip in read_sample(crate, places, stats.run)),
        clips_shown=len(places),
        labels_drawn=sum(slot["run_draw"].spread.drawn for slot in slots),
        captions_used=sum(slot["run_draw"].spread.distinct for slot in slots),
        listed_rejects=LISTED_REJECTS,
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _slot_context(slot: SlotFigures, method: str = "inverse-frequency") -> dict[str, Any]:
    names = {"top": f"top {min(slot.draw, slot.k)}", "uniform": "uniform", "inverse-frequency": "inverse-frequency"}
    draws = [
        {"key": key, "css": key.partition("-")[0], "name": names[key], "figures": slot.draws[key]} for key in METHODS
    ]
    return {
        "figures": slot,
        "names": names,
        "draws": draws,
        "run_draw": slot.draws[method],
        "rank_chart": rank_chart({key.partition("-")[0]: slot.draws[key].curve for key in METHODS}),
        "histogram": histogram_chart(slot.similarity) if slot.similarity else None,
    }


@dataclass(frozen=True, kw_only=True)
class _Media:
    """What a browser shows and plays of a clip."""

    mp3: str
    png: str
    width: int
    height: int
    seconds: float
    hz_marks: Sequence[tuple[str, float]]
    """(label, per cent from the bottom)."""
    s_marks: Sequence[tuple[str, float]]
    """(label, per cent from the left)."""


class _Chances:
    """That what captions of one slot state holds of a clip."""

    def __init__(self, crate: Crate, run: ReportRun, chosen: CandidateSet) -> None:
        assert run.holds is not None
        self._holds, self._place = run.holds, {fact: at for at, fact in enumerate(run.facts)}
        self._vectors_FD = read_fact_vectors(crate.storage, chosen.folder)
        self._mean_D = read_mean(crate, chosen)

    def of(self, text: str, clip_D: NDArray[np.float32]) -> float | None:
        """The mean over the facts that it states; None where it states none."""
        facts = [self._place[fact] for fact in {*map(instrument_of, stated_facts(text))} if fact in self._place]
        less_D = clip_D if self._mean_D is None else clip_D - self._mean_D
        scores = sorted(float(self._vectors_FD[fact] @ less_D) for fact in facts)
        return sum(chance_to_hold(self._holds, score) for score in scores) / len(scores) if scores else None


def _chances(crate: Crate, run: ReportRun) -> dict[str, _Chances]:
    """By slot; empty where what facts are worth was not measured for the model."""
    chosen = {slot.name: slot.chosen for slot in run.slots if run.holds and slot.chosen.facts}
    return {slot: _Chances(crate, run, candidates) for slot, candidates in chosen.items()}


def _clip_context(clip: SampledClip, run: ReportRun | None, chances: Mapping[str, _Chances]) -> dict[str, Any]:
    samples_T, rate = decode_flac(clip.flac)
    shown_T = samples_T[: round(_PLAYED_S * rate)]
    picture = mel_picture(shown_T, rate)
    seconds = len(shown_T) / rate
    step = next(s for s in (0.5, 1, 2, 5, 10) if seconds / s <= 8)
    media = _Media(
        mp3=base64.b64encode(encode_mp3(shown_T, rate)).decode(),
        png=base64.b64encode(picture.png).decode(),
        width=picture.width,
        height=picture.height,
        seconds=seconds,
        hz_marks=[
            (f"{hz // 1000}k" if hz >= 1000 else str(hz), round(100 * mel_position(hz, picture.top_hz), 2))
            for hz in _AXIS_HZ
            if hz < picture.top_hz * 0.97
        ],
        s_marks=[(f"{i * step:g}", round(100 * i * step / seconds, 2)) for i in range(int(seconds / step + 1e-9) + 1)],
    )
    slots = [(slot, _labels(clip, slot.name, chances.get(slot.name))) for slot in run.slots] if run else []
    extra = [(pair["name"], pair["value"]) for pair in clip.row["extra"] or [] if pair["value"]]
    return {
        "row": clip.row,
        "extra": extra,
        "media": media,
        "slots": slots,
        "prompt": clip.labels.get("prompt") or "",
        "whole": len(shown_T) == len(samples_T),
    }


def _labels(clip: SampledClip, slot: str, chances: _Chances | None) -> list[Mapping[str, Any]]:
    """With the chance that what each says holds: None where it states no fact, or that was not measured."""
    drawn = clip.labels.get(slot) or []
    return [{**label, "holds": chances.of(label["text"], clip.embedding_D) if chances else None} for label in drawn]


def _count(value: float) -> str:
    return f"{value:,}"


def _clock(seconds: float) -> str:
    """`1:05`, and `0:12.5` where it is not whole."""
    minutes, rest = divmod(round(seconds, 1), 60)
    whole = f"{int(minutes)}:{int(rest):02d}"
    return whole if rest == int(rest) else f"{whole}.{round(rest % 1 * 10)}"


def _size(value: float) -> str:
    for power, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= power:
            return f"{value / power:.1f} {unit}"
    return f"{value / 1e3:.1f} kB"


def _percent(share: float) -> str:
    """Three digits at most: `0.42 %`, `12.3 %`, `100 %`."""
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f} %"
    return f"{value:.2f} %" if value < 10 else f"{value:.1f} %"


def _plain(value: float, digits: int = 2) -> str:
    """A number with a real minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")
