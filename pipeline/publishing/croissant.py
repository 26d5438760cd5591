"""croissant.json (MLCommons Croissant 1.0): what search engines and ML tools read of a dataset in Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.source.licence import spdx

__all__ = ["croissant_json"]

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
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
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
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_json(
    *,
    description: str,
    licences: Iterable[str],
    includes: str,
    texts: Sequence[str],
    numbers: Sequence[str],
    published: str = "",
) -> bytes:
    """One record a row of the Parquet files that `includes` (a glob) names: its plain columns, `texts` and `numbers`.
    Audio and lists are left to readers of Parquet. published: a day, where somebody said it."""
    known = sorted(filter(spdx, licences))
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "music-clips",
        "description": description,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": [f"https://spdx.org/licenses/{name}.html" for name in known] or ["unknown"],
        "version": "1.0.0",
        **({"datePublished": published} if published else {}),
        "citeAs": "Music clips with pseudo-captions, mined by cratedig from the tracks that ATTRIBUTION.csv names.",
        "dataCollection": "Clips cut from tracks; captions retrieved from a vocabulary by a joint music-text model.",
        "dataBiases": "Captions say what the model and its vocabulary can say, and nobody has checked them.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "repo",
                "name": "repo",
                "description": "the folder that this file lies in",
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
                "includes": includes,
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
                    for kind, names in (("sc:Text", texts), ("sc:Float", numbers))
                    for name in names
                ],
            }
        ],
    }
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()
