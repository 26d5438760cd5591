"""What can go wrong, as a tree.

CratedigError            shown as one line, exit code 2; the message gives value, expectation and remedy
+-- BadInput             what the user gave cannot be used: path, manifest, option, audio folder
+-- CrateMismatch        the crate on disk was made by another version, configuration or plan
+-- EmbedderProblem      a model that cannot be loaded or must not be trusted
+-- VocabularyProblem    a caption vocabulary that cannot be used
+-- IndexMismatch        embeddings of one model met with another's
+-- RunFailed            the work ended, and its result is not to be used as it stands
    +-- TooManyRejects   more was left out than the run allows
    +-- Outage           a remote source does not answer; the same command goes on when it does
    +-- VerifyFailed     the proof that nothing was lost does not hold
    +-- ProgramFault     cratedig, what is installed or the machine is at fault, and no input

DecodeFailure            not shown but counted: one track cannot be used and becomes a reject
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "CrateMismatch",
    "CratedigError",
    "DecodeFailure",
    "EmbedderProblem",
    "IndexMismatch",
    "Outage",
    "ProgramFault",
    "RunFailed",
    "TooManyRejects",
    "VerifyFailed",
    "VocabularyProblem",
]


class CratedigError(Exception):
    """Base of every error that a user can mend; printed as one line, without a traceback."""

    exit_code = 2


class BadInput(CratedigError):
    """What the user handed in cannot be used."""


class CrateMismatch(CratedigError):
    """The crate in the output place does not fit what is asked of it."""


class EmbedderProblem(CratedigError):
    """A model folder that cannot be loaded, or whose embeddings cannot be trusted."""


class VocabularyProblem(CratedigError):
    """A vocabulary file that cannot be used for what is asked."""


class IndexMismatch(CratedigError):
    """Embeddings of one model met with those of another."""


class RunFailed(CratedigError):
    """A run came to its end without a usable result."""

    exit_code = 1


class TooManyRejects(RunFailed):
    """More was left out than the run allows."""


class Outage(RunFailed):
    """A remote source does not answer, for longer than it was waited for."""


class VerifyFailed(RunFailed):
    """The crate does not hold what its plan promised."""


class ProgramFault(RunFailed):
    """What would befall any input: a library that is missing or too new, no memory, a mistake of ours."""


class DecodeFailure(Exception):
    """One track cannot be used; the run goes on without it."""

    def __init__(self, reason: str, detail: str, *, stage: str = "decode") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        """A fixed word, such as `truncated`; rejects are counted by it."""
        self.detail = detail.encode("utf-8", "backslashreplace").decode()[:500]
        """What was found and what was expected; fit for any file, even where a path in it is not UTF-8."""
        self.stage = stage
        """`read` or `decode`."""

    def __reduce__(self) -> tuple[object, ...]:
        return _decode_failure, (self.reason, self.detail, self.stage)


def _decode_failure(reason: str, detail: str, stage: str) -> DecodeFailure:
    return DecodeFailure(reason, detail, stage=stage)
