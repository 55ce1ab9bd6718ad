"""Figures for a model card: retrieval on the test videos of a folder, and the attribute probes.

python -m benchmarks.model_card --model reelsift-tiny --data FOLDER   (FOLDER: reelsift data make)
"""

import argparse
import json
import time

import torch

from models.registry import load_model
from pipeline.datasets.catalog import open_dataset
from pipeline.synthetic.hard_negatives import ATTRIBUTES
from pipeline.training.probes import probe
from pipeline.training.validation import rank_gallery, report
from pipeline.training.video_gallery import video_gallery

PROBE_SEED = 1_000_000_007
DECODE_TIMEOUT_S = 60.0


def main() -> None:
    """Print one JSON line for retrieval and one for the probes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--probes", type=int, default=300)
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    model = load_model(args.model)
    gallery, bad = video_gallery(open_dataset(args.data, "test"), model, args.clips, DECODE_TIMEOUT_S)
    figures = report(rank_gallery(model, gallery), gallery.groups)
    print(
        json.dumps(
            {"clips": len(gallery.pictures_BFHWC), "captions": len(gallery.captions), "bad": len(bad), **figures}
        ),
        flush=True,
    )
    probes = {attribute: round(probe(model, attribute, args.probes, PROBE_SEED), 2) for attribute in ATTRIBUTES}
    print(json.dumps({"probes": args.probes, **probes, "cpu_s": round(time.process_time() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
