// Small builders: elements, times, and the line that shows where in a clip the text finds itself.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - 60 * minutes).toFixed(1).padStart(4, "0");
  return minutes ? `${minutes}:${rest}` : `${seconds.toFixed(1)} s`;
}

export const fileName = (uri) => uri.split("/").pop() || uri;

function bar(className, x, y, width, height) {
  const made = document.createElementNS(SVG, "rect");
  made.setAttribute("class", className);
  for (const [key, value] of Object.entries({ x, y, width, height, rx: 0.6 })) made.setAttribute(key, value);
  return made;
}

// Bars of the weights of a clip's frames over its span; `choose` gets the time of a bar that is pressed.
export function timeLine(hit, choose) {
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("class", "line");
  line.setAttribute("viewBox", "0 0 100 30");
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("role", "img");
  const told = hit.best_s === null ? "the whole clip" : `the text fits best at ${clock(hit.best_s)}`;
  line.setAttribute("aria-label", `From ${clock(hit.start_s)} to ${clock(hit.end_s)}: ${told}`);
  line.append(bar("base", 0, 27, 100, 3));
  const { frame_times_s: times = [], frame_weights: weights = [] } = hit.explanation ?? {};
  const span = Math.max(hit.end_s - hit.start_s, 0.001);
  const most = Math.max(...weights, 1e-9);
  const width = Math.min(8, 76 / Math.max(times.length, 1));
  times.forEach((time, place) => {
    const x = Math.min(Math.max(((time - hit.start_s) / span) * 100, 0), 100 - width);
    const height = Math.max(1.5, (weights[place] / most) * 25);
    const made = bar(weights[place] === most ? "best" : "frame", x, 26 - height, width, height);
    made.append(Object.assign(document.createElementNS(SVG, "title"), {
      textContent: `${clock(time)}: ${(100 * weights[place]).toFixed(0)} %`,
    }));
    if (choose) made.addEventListener("click", () => choose(time));
    line.append(made);
  });
  return line;
}
