"""The baseline of benchmarks/extract.py: decord and open_clip in one map_batches, as the public examples have it.

    python -m benchmarks.plain_ray_data --input FOLDER --model FOLDER --out FOLDER

It imports nothing of this project. What it does not do: probe, isolate, retry, resume, account for what fails, keep
tokens of frames and patches. A clip that decord cannot read is skipped, as the examples do.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import decord
import numpy as np
import open_clip
import ray
import torch
from PIL import Image

_FRAMES = 12


class Embedder:
    """Videos in, one vector a video out."""

    def __init__(self, model: str) -> None:
        config = json.loads((Path(model) / "config.json").read_text())
        self._clip = open_clip.CLIP(**config["clip"]).eval()
        size = config["clip"]["vision_cfg"]["image_size"]
        self._preprocess = open_clip.image_transform(size, is_train=False)

    @torch.inference_mode()
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Decode and encode a batch of paths."""
        began = time.time()
        kept, vectors = [], []
        for path in batch["item"]:
            try:
                reader = decord.VideoReader(path, ctx=decord.cpu(0))
                indices = np.linspace(0, len(reader) - 1, _FRAMES).astype(int)
                frames_NHWC = reader.get_batch(indices).asnumpy()
            except Exception:  # noqa: BLE001  (so the examples do it)
                continue
            pixels_NCHW = torch.stack([self._preprocess(Image.fromarray(frame)) for frame in frames_NHWC])
            vectors.append(self._clip.encode_image(pixels_NCHW, normalize=True).mean(0).numpy())
            kept.append(path)
        return {"path": kept, "embedding": vectors, "began": [began] * len(kept)}


def main() -> None:
    """Embed a folder, and print what came of it as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True)
    parser.add_argument("--model", required=True, help="folder with the config.json of an open_clip model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--cpus", type=float, default=1.0, help="of an actor")
    args = parser.parse_args()
    paths = sorted(str(path) for path in Path(args.input).iterdir())
    ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False, _node_ip_address="127.0.0.2")
    ray.data.DataContext.get_current().enable_progress_bars = False
    (
        ray.data.from_items(paths)
        .map_batches(
            Embedder,
            fn_constructor_args=(args.model,),
            batch_size=4,
            compute=ray.data.ActorPoolStrategy(size=args.actors),
            num_cpus=args.cpus,
        )
        .write_parquet(args.out)
    )
    ended = time.time()
    began = ray.data.read_parquet(args.out, columns=["began"]).to_pandas()["began"]
    print(json.dumps({"clips": len(began), "work_s": ended - float(began.min())}))


if __name__ == "__main__":
    main()
