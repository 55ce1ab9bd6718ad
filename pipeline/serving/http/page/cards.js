// One card for each hit: its picture, where it fits, and its scores by stage.

import { clock, element, fileName, timeLine } from "./marks.js";

// The model sees the middle square of a frame: the heat map lies there, within a box of 16 : 9.
function placeHeat(still, heat) {
  const { naturalWidth: width, naturalHeight: height } = still;
  if (!width || !height) return;
  const side = Math.min(width, height) * Math.min(16 / width, 9 / height);
  heat.style.width = `${(100 * side) / 16}%`;
  heat.style.height = `${(100 * side) / 9}%`;
}

function shot(hit, open) {
  const name = `Play ${fileName(hit.uri)} at ${clock(hit.best_s ?? hit.start_s)}, rank ${hit.rank}`;
  const made = element("button", { type: "button", class: "shot", "aria-label": name });
  made.addEventListener("click", open);
  if (hit.thumbnail_url) {
    const still = element("img", { class: "still", src: hit.thumbnail_url, alt: "", loading: "lazy", decoding: "async" });
    still.addEventListener("error", () => made.classList.add("blank"));
    made.append(still);
    if (hit.explanation?.heatmap_png) {
      const heat = element("img", { class: "heat", src: hit.explanation.heatmap_png, alt: "" });
      still.addEventListener("load", () => placeHeat(still, heat));
      made.append(heat);
    }
  } else {
    made.classList.add("blank");
  }
  made.append(element("span", { class: "rank" }, String(hit.rank)));
  const when = hit.best_s === null ? `${clock(hit.start_s)} – ${clock(hit.end_s)}` : clock(hit.best_s);
  made.append(element("span", { class: "when" }, when));
  return made;
}

function score(label, value, least, most, kind) {
  const meter = element("meter", { class: kind, "aria-label": label });
  Object.assign(meter, { min: least, max: most, value });
  return [element("span", {}, label), meter, element("span", {}, value.toFixed(3))];
}

// Meters start a little below the worst hit, else all would look full.
function range(values) {
  const most = Math.max(...values), least = Math.min(...values);
  const room = Math.max((most - least) * 0.15, 1e-6);
  return [least - room, most + room * 0.1];
}

// How far a clip has come by the second stage, where the list of the first one is there too.
function move(hit, before) {
  if (!before) return null;
  const rank = before.get(hit.clip_id);
  if (rank === undefined) return element("span", { class: "move up" }, "new");
  const steps = rank - hit.rank;
  if (!steps) return element("span", { class: "move" }, "=");
  return element("span", { class: steps > 0 ? "move up" : "move down" }, `${steps > 0 ? "↑" : "↓"} ${Math.abs(steps)}`);
}

export function cards(hits, open, before) {
  const list = element("ol", { class: "list" });
  const fine = hits.filter((hit) => hit.stage === "fine").map((hit) => hit.score);
  const ranges = { fine: range(fine.length ? fine : [0]), coarse: range(hits.map((hit) => hit.coarse_score)) };
  for (const hit of hits) {
    const scores = element("div", { class: "scores" });
    if (hit.stage === "fine") scores.append(...score("two-stage", hit.score, ...ranges.fine, "fine"));
    scores.append(...score("coarse", hit.coarse_score, ...ranges.coarse, "coarse"));
    const name = element("p", { class: "name", title: hit.uri }, element("b", {}, fileName(hit.uri)), move(hit, before));
    const about = element("div", { class: "about" }, name, timeLine(hit), scores);
    const card = element("li", { class: "card" }, shot(hit, () => open(hits, hit)), about);
    card.dataset.clip = hit.clip_id;
    list.append(card);
  }
  return list;
}
