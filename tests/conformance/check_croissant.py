"""mlcroissant: croissant.json of an `hf` export is valid, and gives every row. Nothing stood in."""

import sys

import mlcroissant

if __name__ == "__main__":
    data = mlcroissant.Dataset(jsonld=f"{sys.argv[1]}/croissant.json", mapping={"repo": sys.argv[1]})
    assert not data.metadata.issues.errors, data.metadata.issues.report()
    rows = list(data.records("clips"))
    assert rows and all(row["clips/text"] for row in rows)
    print(f"{len(rows)} records; warnings: {len(data.metadata.issues.warnings)}; e.g. {rows[0]['clips/text']!r}")
