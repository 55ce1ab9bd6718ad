// The page: what is typed is asked, what is answered is shown.

import { cards } from "./cards.js";
import { addCondition, currentFilter, prepareFilters } from "./filters.js";
import { element, fileName } from "./marks.js";
import { openPlayer, preparePlayer } from "./player.js";
import { ask, dropKey, keepKey, keyOf } from "./service.js";

const at = (id) => document.getElementById(id);
const STAGES = ["encode", "recall", "read", "score"];
let underWay = null;
let afterKey = null;

function trouble(error) {
  at("results").classList.remove("busy");
  if (error?.name === "AbortError") return;
  at("trouble").hidden = !error;
  at("trouble").textContent = error ? error.message : "";
  if (error) at("status").replaceChildren();
}

// Run work that asks the service; where that wants a key, ask for one and run it again.
async function asking(work) {
  try {
    await work();
  } catch (error) {
    if (error.status !== 401) {
      trouble(error);
      return;
    }
    at("results").classList.remove("busy");
    at("key-why").textContent = keyOf() ? "The one that was given is not known there." : "Its operator hands them out.";
    dropKey();
    afterKey = work;
    if (!at("key-dialog").open) at("key-dialog").showModal();
  }
}

function stageBar(timings) {
  const made = element("span", { class: "stages", role: "img" });
  const all = STAGES.reduce((sum, stage) => sum + (timings[stage] ?? 0), 0) || 1;
  const told = STAGES.filter((stage) => stage in timings).map((stage) => `${stage} ${timings[stage].toFixed(1)} ms`);
  made.setAttribute("aria-label", told.join(", "));
  made.title = told.join(", ");
  for (const stage of STAGES) {
    const part = element("i", { class: stage });
    part.style.width = `${(100 * (timings[stage] ?? 0)) / all}%`;
    made.append(part);
  }
  return made;
}

function status(found, ms) {
  const { hits, timings_ms: timings } = found;
  const count = hits.length === 1 ? "1 clip" : `${hits.length} clips`;
  at("status").replaceChildren(
    element("span", {}, element("strong", {}, count)),
    element("span", { id: "latency" }, element("strong", {}, `${Math.round(ms)} ms`), ` in all, ${(timings.total ?? 0).toFixed(1)} ms in the service`),
    stageBar(timings),
    ...(found.degraded ?? []).map((step) => element("span", { class: "badge" }, step.replaceAll("_", " "))),
  );
}

function column(title, note, list) {
  const head = element("h2", {}, title, element("span", {}, note));
  return element("section", { "aria-label": title }, head, list);
}

function bodyOf(query, more) {
  const body = { query, k: Number(at("count").value), ...more };
  body.recall_k = Math.max(50, body.k);
  if (at("recall").value) body.recall = at("recall").value;
  const filter = currentFilter();
  if (filter) body.filter = filter;
  return body;
}

async function search() {
  const query = at("query").value.trim();
  if (!query) return;
  underWay?.abort();
  const { signal } = (underWay = new AbortController());
  history.replaceState(null, "", `?q=${encodeURIComponent(query)}`);
  document.title = `${query} - Reelsift`;
  const results = at("results"), compare = at("compare").checked;
  results.classList.add("busy");
  const [fine, coarse] = await Promise.all([
    ask("/v1/search", { body: bodyOf(query, { explain: true }), signal }),
    compare ? ask("/v1/search", { body: bodyOf(query, { rerank: false }), signal }) : null,
  ]);
  trouble(null);
  status(fine.data, fine.ms);
  results.classList.toggle("two", compare);
  if (!compare) {
    results.replaceChildren(cards(fine.data.hits, openPlayer));
    return;
  }
  const before = new Map(coarse.data.hits.map((hit) => [hit.clip_id, hit.rank]));
  results.replaceChildren(
    column("Coarse", `${Math.round(coarse.ms)} ms`, cards(coarse.data.hits, openPlayer)),
    column("Two stages", `${Math.round(fine.ms)} ms`, cards(fine.data.hits, openPlayer, before)),
  );
}

async function similar(hit) {
  const { data, ms } = await ask(`/v1/similar/${encodeURIComponent(hit.clip_id)}?k=${at("count").value}`);
  trouble(null);
  status(data, ms);
  at("results").classList.remove("two");
  at("results").replaceChildren(column(`Clips like ${fileName(hit.uri)}`, "by their coarse vectors", cards(data.hits, openPlayer)));
}

async function index() {
  const { data } = await ask("/v1/index");
  prepareFilters(data.fields ?? []);
  at("served").textContent = data.version === null
    ? "Nothing is published yet."
    : `${data.clips.toLocaleString("en")} clips, version ${data.version}`;
}

// Up and down go to the card above or below, wherever lines break.
function moveTo(key) {
  const all = [...document.querySelectorAll(".shot")];
  const here = all.indexOf(document.activeElement);
  if (!all.length) return false;
  if (here < 0) {
    if (key !== "ArrowDown") return false;
    all[0].focus();
    return true;
  }
  const mine = all[here].getBoundingClientRect();
  const ahead = { ArrowRight: 1, ArrowLeft: -1 }[key];
  const down = key === "ArrowDown" ? 1 : -1;
  const target = ahead ? all[here + ahead] : all
    .map((shot) => ({ shot, box: shot.getBoundingClientRect() }))
    .filter(({ box }) => down * (box.top - mine.top) > 4)
    .sort((a, b) => down * (a.box.top - b.box.top) || Math.abs(a.box.left - mine.left) - Math.abs(b.box.left - mine.left))[0]?.shot;
  if (target) target.focus();
  else if (key === "ArrowUp") at("query").focus();
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    at("query").select();
  } else if (event.key === "Escape" && event.target === at("query")) {
    at("query").blur();
  } else if (event.key.startsWith("Arrow") && (!typing || (event.target === at("query") && event.key === "ArrowDown"))) {
    if (moveTo(event.key)) event.preventDefault();
  } else if (!typing && (event.key === "h" || event.key === "c")) {
    at(event.key === "h" ? "heat" : "compare").click();
  }
}

function prepare() {
  preparePlayer((hit) => asking(() => similar(hit)));
  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    asking(search);
  });
  for (const id of ["compare", "recall", "count"]) at(id).addEventListener("change", () => asking(search));
  at("heat").addEventListener("change", () => at("results").classList.toggle("hot", at("heat").checked));
  at("filters-open").addEventListener("click", () => {
    const open = at("filters").hidden;
    at("filters").hidden = !open;
    at("filters-open").setAttribute("aria-expanded", String(open));
    if (open && !at("conditions").children.length) addCondition(currentFilter);
  });
  at("condition-add").addEventListener("click", () => addCondition(currentFilter));
  at("key-form").addEventListener("submit", () => {
    keepKey(at("key").value.trim());
    at("key").value = "";
    asking(async () => {
      await index();
      await afterKey?.();
    });
  });
  document.addEventListener("keydown", onKey);
  asking(index);
  const asked = new URLSearchParams(location.search).get("q");
  if (asked) {
    at("query").value = asked;
    asking(search);
  } else {
    at("query").focus();
  }
}

prepare();
