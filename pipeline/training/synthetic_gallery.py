"""Validation clips out of generated scenes, drawn in memory as `reelsift data make` would film them."""

import numpy as np
import torch

from pipeline.synthetic.plan import plan_videos
from pipeline.synthetic.render import render_frame
from pipeline.synthetic.timeline import sampled_frames
from pipeline.training.validation import Gallery
from schemas.data_config import DataConfig


def synthetic_gallery(seed: int, clips: int, size_px: int, num_frames: int) -> Gallery:
    """The first `clips` videos of a seed, without the detour through a codec."""
    pictures, captions, owners, groups = [], [], [], []
    for index, plan in enumerate(plan_videos(DataConfig(out="memory", videos=clips, seed=seed))):
        timeline = plan.timeline
        pictures += [
            render_frame(plan.scenes[timeline.scene_at(frame)], frame / timeline.fps, size_px)
            for frame in sampled_frames(timeline.num_frames, num_frames)
        ]
        for query in plan.queries():
            captions.append(query["caption"])
            groups.append(query["group"])
            owners.append(index)
    frames_BFHWC = torch.from_numpy(np.stack(pictures).reshape(clips, num_frames, size_px, size_px, 3))
    return Gallery(frames_BFHWC, torch.ones(clips, num_frames), captions, torch.tensor(owners), groups)
