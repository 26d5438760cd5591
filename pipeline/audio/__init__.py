"""From a file to clips: decoded behind glass, cut, judged, and as FLAC."""
