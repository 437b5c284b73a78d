"use strict";
// Values on hover: a figure's paths give the places of its points, `data` the numbers.
for (const figure of document.querySelectorAll("figure[data-kind]")) {
  enliven(figure, JSON.parse(figure.querySelector("script").textContent));
}

function enliven(figure, data) {
  const area = figure.querySelector(".area"), tip = figure.querySelector(".tip"), rule = figure.querySelector(".rule");
  const paths = [...figure.querySelectorAll("path.line")];
  const lines = data.map((line, i) => {
    const numbers = (paths[i].getAttribute("d").match(/-?\d+(?= |[LMh]|$)/g) || []).map(Number);
    const step = figure.dataset.kind === "point" ? 3 : 2; // a dot is "Mx yh0"
    const points = [];
    for (let j = 0; j + 1 < numbers.length; j += step) points.push([numbers[j] / 2000, numbers[j + 1] / 1000]);
    return { ...line, points, runs: (paths[i].dataset.run || "").split(" ") };
  });

  const nearest = (points, distance) => {
    let best = -1, least = Infinity;
    points.forEach((point, i) => { const d = distance(point); if (d < least) { least = d; best = i; } });
    return [best, least];
  };
  // How far below or above a line the pointer is, in pixels.
  const away = (points, x, y, height) => {
    for (let i = 1; i < points.length; i++) {
      const [a, b] = [points[i - 1], points[i]];
      if (a[0] <= x && x <= b[0]) return Math.abs(a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0] || 1) - y) * height;
    }
    return Infinity;
  };
  const found = (x, y, width, height) => {
    if (figure.dataset.kind === "x") {
      const all = lines.map((line) => [line, nearest(line.points, (p) => Math.abs(p[0] - x))[0]]).filter(([, i]) => i >= 0);
      const at = Math.min(...all.map(([line, i]) => Math.abs(line.points[i][0] - x)));
      const [lead, index] = all.find(([line, i]) => Math.abs(line.points[i][0] - x) === at) || [];
      if (!lead) return null;
      const rows = all.map(([line, i]) => [line.at[i] === lead.at[index] ? line.name : `${line.name} at ${numberText(line.at[i])}`, numberText(line.values[i])]);
      return { head: `${figure.dataset.x} ${numberText(lead.at[index])}`, rows, place: lead.points[index][0] };
    }
    if (figure.dataset.kind === "point") {
      const away = (p) => Math.hypot((p[0] - x) * width, (p[1] - y) * height);
      const [line, i, least] = lines.map((line) => [line, ...nearest(line.points, away)]).reduce((a, b) => (b[2] < a[2] ? b : a));
      if (least > 40) return null;
      const rows = [[figure.dataset.x, line.at], [figure.dataset.y, line.values]].filter(([, of]) => of.length);
      return { head: line.labels[i] || "", rows: rows.map(([name, of]) => [name, numberText(of[i])]), place: line.points[i][0] };
    }
    const [i, least] = nearest(lines, (line) => away(line.points, x, y, height));
    if (least > 40) return null;
    const rows = lines[i].values.length ? [[figure.dataset.y, numberText(lines[i].values[nearest(lines[i].points, (p) => Math.abs(p[0] - x))[0]])]] : [];
    return { head: lines[i].text, rows, place: x, runs: lines[i].runs };
  };

  const show = (event) => {
    const box = area.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    const hit = found(Math.min(1, Math.max(0, x)), y, box.width, box.height);
    area.classList.toggle("on", hit !== null);
    light(hit ? hit.runs : undefined);
    if (hit === null) return;
    const head = document.createElement("b");
    head.textContent = hit.head;
    tip.replaceChildren(...(hit.head ? [head] : []), ...hit.rows.map(([name, value]) => {
      const row = document.createElement("span");
      for (const part of [name, value]) row.appendChild(document.createElement("span")).textContent = part;
      return row;
    }));
    rule.style.left = `${hit.place * 100}%`;
    const left = hit.place * box.width + 14;
    tip.style.left = `${Math.max(0, left + tip.offsetWidth > box.width ? left - tip.offsetWidth - 28 : left)}px`;
    tip.style.top = `${Math.min(Math.max(0, y * box.height - tip.offsetHeight - 10), box.height - tip.offsetHeight)}px`;
  };
  if (figure.dataset.kind !== "point" && !("fixed" in figure.dataset) && lines.every((line) => line.values.length)) addTools(figure, paths, lines);
  area.addEventListener("pointermove", show);
  area.addEventListener("pointerdown", show);
  area.addEventListener("pointerleave", () => { area.classList.remove("on"); light(undefined); });
}

// A switch for a logarithmic scale, and a slider that smooths the lines; dots and the values on hover stay as measured.
function addTools(figure, paths, lines) {
  const svg = figure.querySelector("svg"), area = figure.querySelector(".area"), note = figure.querySelector(".scale");
  const all = lines.flatMap((line) => line.values), positive = all.filter((value) => value > 0);
  const pens = paths.map((path) => path.getAttribute("d").match(/[ML]/g));
  const dots = paths.map((path) => path.nextElementSibling).map((path) => path && path.classList.contains("dots") ? path : null);
  const tools = figure.querySelector("figcaption").appendChild(document.createElement("span"));
  tools.className = "tools";
  const slider = document.createElement("input"), button = document.createElement("button");
  Object.assign(slider, { type: "range", min: 0, max: 100, value: 0, ariaLabel: "smoothing" });
  Object.assign(button, { type: "button", textContent: "log scale", disabled: !positive.length });
  button.setAttribute("aria-pressed", Boolean(note.textContent));
  const label = document.createElement("label"), word = document.createElement("span");
  word.textContent = "smooth";
  label.append(word, slider);
  tools.append(label, button);

  // An exponential average over x, so that uneven steps count as they should; as many widths as the slider's percent.
  const smooth = (points, values, width) => {
    if (!width) return values;
    let sum = 0, weight = 0;
    return values.map((value, i) => {
      const keep = i ? Math.exp(-(points[i][0] - points[i - 1][0]) / width) : 0;
      sum = keep * sum + value;
      weight = keep * weight + 1;
      return sum / weight;
    });
  };

  const draw = () => {
    const log = button.getAttribute("aria-pressed") === "true", kept = log ? positive : all;
    let low = kept.reduce((a, b) => Math.min(a, b)), high = kept.reduce((a, b) => Math.max(a, b));
    const flat = high - low <= 1e-12 * Math.max(Math.abs(low), Math.abs(high));
    if (log) [low, high] = flat ? [low / 2, high * 2] : [low * (low / high) ** 0.04, high * (high / low) ** 0.04];
    else { const room = flat ? Math.abs(high) / 2 || 0.5 : (high - low) * 0.04; low -= room; high += room; }
    const scale = log ? (value) => Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
    const at = (x, value) => `${Math.round(x * 2000)} ${Math.round((1 - scale(value)) * 1000)}`;
    lines.forEach((line, i) => {
      const x = line.points.map((point) => point[0]), shown = smooth(line.points, line.values, slider.value / 500);
      paths[i].setAttribute("d", shown.map((value, j) => pens[i][j] + at(x[j], value)).join(""));
      line.points = shown.map((value, j) => [x[j], 1 - scale(value)]);
      if (dots[i]) dots[i].setAttribute("d", line.values.map((value, j) => `M${at(x[j], value)}h0`).join(""));
    });
    for (const old of figure.querySelectorAll(".grid, .ytick")) old.remove();
    for (const tick of log ? decades(low, high) : steps(low, high)) {
      const grid = document.createElementNS(svg.namespaceURI, "path"), span = document.createElement("span");
      grid.setAttribute("class", "grid");
      grid.setAttribute("d", `M0 ${Math.round((1 - scale(tick)) * 1000)}H2000`);
      svg.prepend(grid);
      Object.assign(span, { className: "ytick", textContent: tickText(tick) });
      span.style.top = `${(1 - scale(tick)) * 100}%`;
      area.append(span);
    }
    note.textContent = log ? "log scale" : "";
  };
  slider.addEventListener("input", draw);
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    draw();
  });
}

// The same runs light up in every drawing and in the table.
function light(runs) {
  document.body.classList.toggle("picked", runs !== undefined);
  for (const part of document.querySelectorAll("[data-run]")) {
    part.classList.toggle("lit", runs !== undefined && part.dataset.run.split(" ").some((run) => runs.includes(run)));
  }
}
for (const row of document.querySelectorAll("tr[data-run]")) {
  row.addEventListener("pointerenter", () => light(row.dataset.run.split(" ")));
  row.addEventListener("pointerleave", () => light(undefined));
}

// Round values for the ticks of a scale, and how numbers are written.
function steps(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 4)), ticks = [];
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= (high - low) / 4 * 0.999);
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  return ticks;
}
function decades(low, high) {
  const ticks = [], few = high / low < 100, most = Math.max(1, Math.ceil(Math.log10(high / low) / 5));
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const factor of few ? [1, 2, 5] : [1]) if (few || power % most === 0) ticks.push(factor * 10 ** power);
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}
function tickText(tick) {
  const size = Math.abs(tick);
  if (size && (size >= 1e6 || size < 1e-3)) return tick.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return tick.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}
function numberText(number) {
  const size = Math.abs(number), far = size >= 1e9 || (size > 0 && size < 1e-4);
  return far ? number.toExponential(4).replace(/\.?0+e/, "e") : number.toLocaleString("en-US", { maximumSignificantDigits: 9 });
}
