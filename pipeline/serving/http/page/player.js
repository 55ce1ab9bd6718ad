// The dialog that plays a hit at its moment.

import { clock, element, fileName, timeLine } from "./marks.js";

const at = (id) => document.getElementById(id);
let hits = [];
let shown = 0;

// The media fragment makes the browser fetch and play that part alone.
export function momentOf(hit) {
  const from = hit.best_s ?? hit.start_s;
  const fragment = hit.end_s > from ? `#t=${from.toFixed(3)},${hit.end_s.toFixed(3)}` : `#t=${from.toFixed(3)}`;
  return hit.media_url && hit.media_url + fragment;
}

function playFrom(seconds) {
  const video = at("video");
  video.currentTime = seconds;
  video.play().catch(() => {});
}

function facts(hit) {
  const rows = { File: hit.uri, Clip: hit.clip_id, Span: `${clock(hit.start_s)} to ${clock(hit.end_s)}` };
  if (hit.best_s !== null) rows["Best moment"] = clock(hit.best_s);
  rows.Score = hit.stage === "fine" ? `${hit.score.toFixed(4)} in two stages` : "first stage only";
  rows.Coarse = hit.coarse_score.toFixed(4);
  return Object.entries(rows).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

function show(place) {
  shown = place;
  const hit = hits[place];
  at("player-name").textContent = `${hit.rank}. ${fileName(hit.uri)}`;
  at("player-line").replaceChildren(timeLine(hit, hit.media_url ? playFrom : null));
  at("player-facts").replaceChildren(...facts(hit));
  at("player-previous").disabled = place === 0;
  at("player-next").disabled = place === hits.length - 1;
  const video = at("video"), source = momentOf(hit);
  video.hidden = !source;
  at("no-video").hidden = Boolean(source);
  if (source) {
    video.src = source;
    video.play().catch(() => {}); // a browser may want a press first: the controls are there
  }
}

export function openPlayer(list, hit) {
  hits = list;
  show(list.indexOf(hit));
  at("player").showModal();
}

export function preparePlayer(showSimilar) {
  const player = at("player"), video = at("video");
  player.addEventListener("close", () => {
    video.pause();
    video.removeAttribute("src");
    video.load();
  });
  player.addEventListener("click", (event) => event.target === player && player.close());
  video.addEventListener("error", () => {
    if (!video.getAttribute("src")) return;
    video.hidden = true;
    at("no-video").hidden = false;
  });
  at("player-close").addEventListener("click", () => player.close());
  at("player-previous").addEventListener("click", () => show(shown - 1));
  at("player-next").addEventListener("click", () => show(shown + 1));
  at("player-similar").addEventListener("click", () => {
    player.close();
    showSimilar(hits[shown]);
  });
  player.addEventListener("keydown", (event) => {
    if (event.target === video) return;
    if (event.key === "ArrowLeft" && shown > 0) show(shown - 1);
    if (event.key === "ArrowRight" && shown < hits.length - 1) show(shown + 1);
  });
}
