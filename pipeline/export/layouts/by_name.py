"""One door to the layouts: the one that a spec names, and how its files are read."""

from __future__ import annotations

from pipeline.export.layouts.captions import CAPTIONS_USAGE, Captions
from pipeline.export.layouts.folder import FOLDER_USAGE, Folder
from pipeline.export.layouts.hf import HF_USAGE, Hf, tokens_usage
from pipeline.export.layouts.layout import Layout
from pipeline.export.layouts.wds import WDS_USAGE, Wds
from pipeline.export.spec import ExportSpec

__all__ = ["layout_of", "usage_of"]


def layout_of(spec: ExportSpec, dimension: int) -> Layout:
    """dimension: of the crate's embeddings."""
    layouts: dict[str, Layout] = {"hf": Hf(dimension), "wds": Wds(), "folder": Folder(), "captions": Captions()}
    return layouts[spec.layout]


def usage_of(spec: ExportSpec) -> str:
    """Markdown for the card."""
    return {"hf": HF_USAGE + tokens_usage(spec), "wds": WDS_USAGE, "folder": FOLDER_USAGE, "captions": CAPTIONS_USAGE}[
        spec.layout
    ]
