"""croissant.json of an `hf` export (MLCommons Croissant 1.0): what search engines and ML tools read of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.export.card import named
from pipeline.source.licence import spdx

if TYPE_CHECKING:
    from pipeline.export.export import Export

__all__ = ["croissant"]

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TEXTS = ("clip_id", "text", "title", "artist", "album", "licence", "source", "track_id")
_NUMBERS = ("start_s", "duration_s", "track_duration_s")


def croissant(export: Export, counts: Mapping[str, int]) -> dict[str, Any]:
    """One record a row: its plain columns. Audio and lists are left to readers of Parquet."""
    licences = sorted({name for name in named(counts, "licence:") if spdx(name)})
    fields = [(name, "sc:Text") for name in _TEXTS] + [(name, "sc:Float") for name in _NUMBERS]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "music-clips",
        "description": f"{counts.get('clips', 0)} music clips with captions that a model retrieved.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": [f"https://spdx.org/licenses/{name}.html" for name in licences] or ["unknown"],
        "version": "1.0.0",
        "dataCollection": "Clips cut from tracks; captions retrieved from a vocabulary by a joint music-text model.",
        "dataBiases": "Captions say what the model and its vocabulary can say, and nobody has checked them.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "repo",
                "name": "repo",
                "description": "the folder of this export",
                "contentUrl": ".",
                "encodingFormat": "git+https",
                "sha256": "https://github.com/mlcommons/croissant/issues/80",
            },
            {
                "@type": "cr:FileSet",
                "@id": "data",
                "name": "data",
                "containedIn": {"@id": "repo"},
                "encodingFormat": "application/x-parquet",
                "includes": "data/*.parquet",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "clips",
                "name": "clips",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"clips/{name}",
                        "name": name,
                        "dataType": kind,
                        "source": {"fileSet": {"@id": "data"}, "extract": {"column": name}},
                    }
                    for name, kind in fields
                ],
            }
        ],
    }
