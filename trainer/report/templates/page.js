"use strict";
// Values on hover: each figure's paths give the places of its points, the JSON beside them the numbers.
for (const figure of document.querySelectorAll("figure[data-kind]")) {
  const area = figure.querySelector(".area"), tip = figure.querySelector(".tip"), rule = figure.querySelector(".rule");
  const paths = [...figure.querySelectorAll("path.line")];
  const lines = JSON.parse(figure.querySelector("script").textContent).map((line, i) => {
    const numbers = (paths[i].getAttribute("d").match(/-?\d+(?= |[LMh]|$)/g) || []).map(Number);
    const step = figure.dataset.kind === "point" ? 3 : 2; // a dot is "Mx yh0"
    const points = [];
    for (let j = 0; j + 1 < numbers.length; j += step) points.push([numbers[j] / 2000, numbers[j + 1] / 1000]);
    return { ...line, points, runs: (paths[i].dataset.run || "").split(" ") };
  });
  const text = (number) => {
    const size = Math.abs(number), far = size >= 1e9 || (size > 0 && size < 1e-4);
    return far ? number.toExponential(4).replace(/\.?0+e/, "e") : number.toLocaleString("en-US", { maximumSignificantDigits: 9 });
  };

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
      const rows = all.map(([line, i]) => [line.at[i] === lead.at[index] ? line.name : `${line.name} at ${text(line.at[i])}`, text(line.values[i])]);
      return { head: `${figure.dataset.x} ${text(lead.at[index])}`, rows, place: lead.points[index][0] };
    }
    if (figure.dataset.kind === "point") {
      const [line] = lines;
      const [i, least] = nearest(line.points, (p) => Math.hypot((p[0] - x) * width, (p[1] - y) * height));
      if (least > 40) return null;
      return { head: "", rows: [[figure.dataset.x, text(line.at[i])], [figure.dataset.y, text(line.values[i])]], place: line.points[i][0] };
    }
    const [i, least] = nearest(lines, (line) => away(line.points, x, y, height));
    if (least > 40) return null;
    const rows = lines[i].values.length ? [[figure.dataset.y, text(lines[i].values[nearest(lines[i].points, (p) => Math.abs(p[0] - x))[0]])]] : [];
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
  area.addEventListener("pointermove", show);
  area.addEventListener("pointerdown", show);
  area.addEventListener("pointerleave", () => { area.classList.remove("on"); light(undefined); });
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
