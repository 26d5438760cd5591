"""`make bench`: the benchmarks behind the README's figures, one after the other.

python -m benchmarks.run            those that need nothing but this repository, about ten minutes on two quiet cores
python -m benchmarks.run --list     every benchmark and what it needs
"""

from __future__ import annotations

import argparse
import subprocess
import sys

QUICK = [
    (["benchmarks.mel"], "the log-mel front end against ClapFeatureExtractor"),
    (["benchmarks.clips_speed"], "the clips job against the sum of its kernels"),
    (["benchmarks.balance", "--speed"], "counting and drawing, microseconds a clip"),
    (["benchmarks.faults", "damaged"], "300 damaged files, each accounted for"),
    (["benchmarks.faults", "kills"], "20 runs with a SIGKILL, one hash"),
    (["benchmarks.labels_true", "demo/crate"], "labels of the demo against what its tracks contain (after make demo)"),
]
OTHERS = [
    ("python -m benchmarks.balance CRATE", "entropy of caption use under three draws; a crate of 500 clips or more"),
    ("python -m benchmarks.faults exits", "every command that ends quickly, 50 times: its exit code; half an hour"),
    ("python -m benchmarks.chaos --runs 100", "a mine disturbed in every way that a machine has; one hash; an hour"),
    ("python -m benchmarks.driver local|s3|vocabulary|plan N ...", "what the driver costs, by the number of shards"),
    ("python -m benchmarks.scale CRATE", "the table of docs/scale.md, from a crate mined on this machine"),
    ("python -m benchmarks.crates grow|takedown|kills MUSIC", "crates that grow and lose tracks; 60 recorded tracks"),
    ("python -m benchmarks.embedder", "milliseconds a window and a caption"),
    ("python -m benchmarks.bundled_model words", "words that the bundled model knows"),
    ("python -m benchmarks.bundled_model recorded FOLDER", "the bundled model's captions of recorded music"),
    ("python -m benchmarks.real_music FOLDER ... --musicnn WHEEL", "captions of recordings, by an independent tagger"),
    ("python -m labeling.recipe evaluate MODEL TESTS...", "accuracy on unseen pieces; see docs/bundled-model.md"),
    ("python -m benchmarks.laion_parity", "regenerates the LAION fixture; needs laion-clap in its own environment"),
    ("python -m benchmarks.exports speed|memory|source", "exports against a copy and the clips job; 6 GB of disk"),
    ("python -m benchmarks.search", "exact and FAISS search over 4,000,000 captions; 21 GB of disk, 12 GB of memory"),
    ("python -m benchmarks.vocab_clean", "cleaning 4,000,000 sentences; 2 GB of disk, 4 GB of memory"),
    ("python -m benchmarks.vocab_judged", "junk of small language models, before and after cleaning, by a reader"),
    ("python -m benchmarks.vocab_generate", "2,000 songs through a real server, killed twice"),
    ("python -m benchmarks.vocab_demo demo/crate", "what the bundled sentences give the demo (after make demo)"),
    ("python -m benchmarks.diffusion_refine --crate CRATE --from RUN", "refining stages against what they are given"),
    ("python -m benchmarks.diffusion_conditioning --out NEW", "the right class for 20 prompts of two classes"),
    ("python -m benchmarks.diffusion_speed train|generate", "samples/s and TFLOP/s; seconds for clips; wants a GPU"),
    ("python -m benchmarks.diffusion_loader --crate CRATE", "examples a second of the training loader"),
    ("python -m benchmarks.diffusion_reads", "how often a row group is read an epoch, by 1 to 256 ranks"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    if parser.parse_args().list:
        for line, about in [(f"python -m {' '.join(c)}", about) for c, about in QUICK] + OTHERS:
            print(f"{line:65} {about}")
        return 0
    codes = []
    for command, about in QUICK:
        print(f"\n== {about}: python -m {' '.join(command)}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", *command]).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
