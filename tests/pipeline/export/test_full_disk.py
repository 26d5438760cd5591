"""An export on a disk that fills up: one clear error, and the same command ends it when there is room."""

from __future__ import annotations

from pathlib import Path

from tests.pipeline.test_storage import in_small_file_system


def test_a_full_disk_stops_an_export_which_goes_on_from_there(finished_crate: Path, tmp_path: Path) -> None:
    script = f"""
import sys, subprocess
from pathlib import Path
from pipeline.errors import CratedigError
from pipeline.export.export import Export
from pipeline.export.verify import verify_export
from tests.exports import export
root = Path(sys.argv[1])
if __name__ == "__main__":
    for layout in ("hf", "wds", "folder"):
        try:
            export(Path({str(finished_crate)!r}), root / layout, layout=layout)
        except CratedigError as error:
            print(layout, error)
    subprocess.run(["mount", "-o", "remount,size=64m", str(root)], check=True)
    for layout in ("hf", "wds", "folder"):
        made = export(Path({str(finished_crate)!r}), root / layout, layout=layout)
        print(layout, verify_export(made).holds, made.counts["clips"])
"""
    lines = in_small_file_system(tmp_path, "size=600k", script).splitlines()
    assert len(lines) == 6
    for line, layout in zip(lines[:3], ("hf", "wds", "folder"), strict=True):
        assert line.startswith(f"{layout} no space left for {tmp_path}/{layout}"), line
        assert "free some space and run the same command again" in line
    assert lines[3:] == ["hf True 16", "wds True 16", "folder True 16"]
