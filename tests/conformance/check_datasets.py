"""Hugging Face datasets: the parquet folder as it is, and its webdataset builder over the tars.

Stood in for the tars: torchcodec, which that builder imports and whose wheel wants CUDA libraries even on a CPU.
"""

import io
import sys
import tempfile

import soundfile
from datasets import Audio, load_dataset
from stand_ins import stand_in

if __name__ == "__main__":
    folder, tars = sys.argv[1:]
    with tempfile.TemporaryDirectory() as cache:
        data = load_dataset(folder, split="train", cache_dir=cache)
        assert data.features["audio"].sampling_rate == 24_000
        assert all(isinstance(text, str) and text for text in data["text"])
        row = data.cast_column("audio", Audio(decode=False))[0]
        audio, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
        assert (rate, audio.shape) == (24_000, (720_000,))
        stand_in("torchcodec", "torchcodec.encoders", "torchcodec.decoders")
        streamed = load_dataset("webdataset", data_files=f"{tars}/train/*.tar", split="train", cache_dir=cache)
        assert streamed.num_rows == data.num_rows
        said = streamed.cast_column("flac", Audio(decode=False))[0]["json"]
        assert said["text"] == row["text"] and said["captions"] == row["captions"]
        print(
            f"parquet {data.num_rows} rows, {audio.shape}, {rate} Hz; webdataset {streamed.num_rows}; "
            f"e.g. {row['text']!r}"
        )
