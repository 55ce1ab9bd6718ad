"""An evaluation from data to report: extraction, scores, ranks, costs, page. Run again, it goes on where it stopped."""

import json

import torch

from models.eercf import EercfModel
from models.registry import load_model
from pipeline.datasets.catalog import open_dataset
from pipeline.evaluation.clips import EmbeddedVideos, embed_videos
from pipeline.evaluation.protocol import rank_texts
from pipeline.evaluation.report import Phases, Ranked, Say, make_report
from pipeline.evaluation.scores import encode_texts, score_all
from pipeline.local_folder import open_folder
from pipeline.storage import Store
from schemas.evaluation import EvaluateConfig, EvaluationReport
from schemas.results import ExtractSummary

REPORT, PAGE, QUERIES = "report.json", "report.html", "queries.jsonl"


def evaluate(config: EvaluateConfig, say: Say) -> tuple[EvaluationReport, ExtractSummary]:
    """Evaluate a model on captioned videos and write report.json, report.html and queries.jsonl to `config.out`.

    Args:
        config: the settings.
        say: gets a line as each part begins.

    Raises:
        UsageError: a setting makes no sense, or `out` is no local folder or of another model.
        InputError: the data cannot be read, or none of its videos can be decoded.
        StorageError: `out` cannot be written.
    """
    phases = Phases(say)
    dataset = open_dataset(config.data, config.split)
    if dataset.missing:
        say(dataset.missing_line())
    out = open_folder(config.out)
    with phases.part("extract", f"extract: {len(dataset.videos)} videos to {out}/tables"):
        videos = embed_videos(dataset, config, out)
    model = load_model(config.model, "cuda" if torch.cuda.is_available() else "cpu")
    ranked = _rank(videos, model, config, phases)
    report, page = make_report(ranked, model, config, dataset, phases)
    store = Store(str(out))
    store.write(QUERIES, _query_lines(ranked, config).encode())
    store.write(PAGE, page.encode())
    store.write(REPORT, f"{json.dumps(report.model_dump(), indent=1, ensure_ascii=False)}\n".encode())
    return report, videos.extracted


def _rank(videos: EmbeddedVideos, model: EercfModel, config: EvaluateConfig, phases: Phases) -> Ranked:
    row_of = {clip.key: row for row, clip in enumerate(videos.gallery.clips)}
    clip_T = torch.tensor([row_of[caption.key] for caption in videos.captions])
    with phases.part("texts", f"encode {len(clip_T)} texts"):
        text_TD = encode_texts(model, [caption.text for caption in videos.captions])
    with phases.part("scores", f"score {len(clip_T)} texts against {len(row_of)} clips"):
        scores = score_all(model, text_TD, videos.gallery)
    with phases.part("ranks", f"rank with {', '.join(map(str, config.depths))} candidates"):
        texts = rank_texts(scores, clip_T, config.depths)
    return Ranked(videos, text_TD, clip_T, scores, texts)


def _query_lines(ranked: Ranked, config: EvaluateConfig) -> str:
    """One line a caption with its ranks; 1 the best."""
    ranks = {way: ranks_T.tolist() for way, ranks_T in ranked.texts.ranks(config.recall, config.recall_k).items()}
    lines = []
    for number, caption in enumerate(ranked.videos.captions):
        own = {"video": caption.key, "caption": caption.text, "group": caption.group, "tags": dict(caption.tags)}
        line = own | {"ranks": {way: values[number] for way, values in ranks.items()}}
        lines.append(f"{json.dumps(line, ensure_ascii=False)}\n")
    return "".join(lines)
