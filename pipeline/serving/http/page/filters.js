// Conditions on the fields that the index has, as a filter of the service.

import { element } from "./marks.js";

const OPERATORS = {
  int: ["==", "!=", "<", "<=", ">", ">="],
  float: ["<", "<=", ">", ">=", "=="],
  bool: ["==", "!="],
  string: ["==", "!=", "prefix"],
};
const at = (id) => document.getElementById(id);
let fields = [];

function valueOf(type, text) {
  if (type === "string") return text;
  if (type === "bool") return text === "true";
  const number = Number(text);
  return type === "int" && Number.isInteger(number) ? number : number;
}

function fill(row) {
  const [field, operator] = row.querySelectorAll("select");
  const type = fields.find((each) => each.name === field.value)?.type ?? "string";
  operator.replaceChildren(...OPERATORS[type].map((each) => element("option", { value: each }, each)));
  const value = type === "bool"
    ? element("select", { "aria-label": "Value" }, element("option", {}, "true"), element("option", {}, "false"))
    : element("input", { type: type === "string" ? "text" : "number", step: "any", "aria-label": "Value" });
  value.dataset.value = type;
  row.querySelector("[data-value]").replaceWith(value);
}

export function addCondition(changed) {
  const names = fields.map((each) => element("option", { value: each.name }, each.name));
  const field = element("select", { "aria-label": "Field" }, ...names);
  const remove = element("button", { type: "button", class: "quiet", "aria-label": "Remove this condition" }, "×");
  const row = element("div", { class: "condition" }, field, element("select", { "aria-label": "Comparison" }));
  row.append(element("input", { "data-value": "string" }), remove);
  field.addEventListener("change", () => fill(row));
  remove.addEventListener("click", () => {
    row.remove();
    changed();
  });
  at("conditions").append(row);
  fill(row);
  field.focus();
}

export function prepareFilters(known) {
  fields = known;
  at("filters-open").hidden = fields.length === 0;
}

// All conditions together, or null without any; a row without a value is not yet one.
export function currentFilter() {
  const parts = [];
  for (const row of at("conditions").children) {
    const [field, operator] = row.querySelectorAll("select");
    const value = row.querySelector("[data-value]");
    if (value.value === "") continue;
    parts.push({ field: field.value, op: operator.value, value: valueOf(value.dataset.value, value.value) });
  }
  at("filters-count").textContent = parts.length ? ` (${parts.length})` : "";
  return parts.length ? { and: parts } : null;
}
