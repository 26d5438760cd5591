"""What follows when shards of a crate have changed: manifest, card, proof, page; after a takedown, also the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labeling.weak import WeakClips, WeakLabels
    from pipeline.crate.crate import Crate
    from pipeline.curation.takedown import Known

__all__ = ["finish", "follow_takedown", "take_down_all"]


def finish(
    crate: Crate,
    *,
    report: bool,
    run: str = "",
    prove: bool = True,
    vocabularies: Mapping[str, str] | None = None,
    weak: Sequence[WeakClips | WeakLabels] = (),
) -> None:
    """Manifest, proof, dataset card and page, for which each file is read once. Raises VerifyFailed where the proof
    does not hold.

    vocabularies: slot -> file, of the run, where they are not bundled. weak: see the crate's rows with the others;
    what they say is said.
    """
    from pipeline.crate.dataset import read_once
    from pipeline.crate.manifest import write_manifest
    from pipeline.crate.verify import verify_crate
    from pipeline.curation.tables import stale_tables
    from pipeline.errors import VerifyFailed
    from pipeline.publishing.card import Sources, write_card

    write_manifest(crate)
    page, sources = None, Sources()
    if report:
        from labeling.report import Report

        page = Report(crate, run, vocabularies=vocabularies)
    watchers = [sources, *weak, *(page.watchers if page else ())]
    proof = None
    if prove:
        proof = verify_crate(crate, watchers)
    else:
        read_once(crate, watchers)
    if proof is None or proof.holds:
        write_card(crate, sources)
        for line in (line for watcher in weak for line in watcher.lines()):
            print(line)
    if proof is not None:
        print("\n".join(proof.lines()))
        _print_reasons(proof.reasons)
        for line in stale_tables(crate):
            print(f"note: {line}")
    if proof is not None and not proof.holds:
        raise VerifyFailed(f"{crate.storage.url} does not hold what its plan promised: {proof.faults[0]}")
    if page is not None:
        print(f"page: {page.write(proof)}")


def _print_reasons(reasons: Mapping[str, int]) -> None:
    for name, count in sorted(reasons.items()):
        level, _, reason = name.partition(":")
        print(f"  left out, {level}: {reason} {count}")


def take_down_all(
    crate: Crate, known: dict[str, Known], chosen: Iterable[str], *, reason: str, date: str = ""
) -> Crate:
    """Take tracks out of a crate and of all that is made of it."""
    from pipeline.curation.takedown import take_down

    page = None
    if crate.storage.exists("stats.json"):
        page = str((crate.storage.read_json("stats.json").get("labels") or {}).get("name", ""))
    return follow_takedown(take_down(crate, known, chosen, reason=reason, date=date, page=page))


def follow_takedown(crate: Crate) -> Crate:
    """Finish what is begun in the crate, then let sidecars, manifest, card and page follow; say what cannot."""
    from diffusion.data.sidecar import drop_tracks
    from pipeline.crate.removed import JOURNAL, read_removed
    from pipeline.crate.seals import read_sealed
    from pipeline.crate.trained import trained_runs
    from pipeline.curation.takedown import end_takedown, finish_takedown

    crate = finish_takedown(crate)
    removed = {removal.track_id for removal in read_removed(crate.storage)}
    if crate.storage.is_local:
        for text in drop_tracks(crate.storage.path("text"), removed):
            print(text)
    page = read_sealed(crate.storage, JOURNAL)["page"]
    finish(crate, report=page is not None, run=page or "", prove=False)
    end_takedown(crate)
    print(
        f"{crate.removed} tracks are taken down in all, listed in {crate.storage.url}/removed.parquet (ids and hashes)"
    )
    for run in trained_runs(crate):
        print(f"  trained on it before: {run['run']} ({run['stage']}); a takedown does not reach into a model")
    print("exports, copies and backups made elsewhere are not reached; removed.parquet is for them: --list")
    return crate
