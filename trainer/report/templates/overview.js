
// The page over all runs. Whatever comes from a run folder is set as text; links begin with "./".
const FIRST = 6; // runs that are picked at first
const DRAWN = 500; // rows of the table
const COMPARED = 12; // runs whose settings stand side by side
const get = (id) => document.getElementById(id);
const isLive = () => "live" in get("state").dataset; // whether a server makes the reports that are missing
const state = { data: null, columns: [], picked: new Map(), sort: { id: "started", up: false }, metric: null, tag: null };

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const clock = (seconds) => {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60), two = (number) => String(number).padStart(2, "0");
  return minutes < 60 ? `${minutes}:${two(whole % 60)}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
};
const measured = (value) => (value === 0 || Math.abs(value) >= 1e-3) && Math.abs(value) < 1e3 ? value.toFixed(4) : numberText(value);
const asNumber = (value) => (typeof value === "string" && value.trim() !== "" ? Number(value) : typeof value === "number" ? value : NaN);

// A column: what tells it from the others (a setting may have any key), its key, its heading, the value of a run, and
// how that is written.
function columnsOf(data) {
  const plain = (key, text = (value) => value) => ({ id: key, key, name: key, of: (run) => run[key], text });
  return [
    { ...plain("name"), name: "run" },
    { ...plain("started", (value) => value.slice(5, 16)) },
    plain("status"), plain("tags"), plain("dataset"), plain("model"),
    ...data.metrics.map((key, i) => ({ id: `metric ${key}`, key, name: key, number: true, of: (run) => run.metrics[i], text: measured })),
    { ...plain("steps", (value) => value.toLocaleString("en-US")), number: true },
    { ...plain("seconds", clock), name: "time", number: true },
    ...data.keys.map(([key, name], i) => ({ id: `setting ${key}`, key, name, setting: true, of: (run) => run.settings[i], text: (value) => value })),
  ];
}

const COMPARISON = /^([^<>=]+)([<>]=?|=)(.+)$/;
const filterWords = () => get("filter").value.toLowerCase().replace(/\s*([<>]=?|=)\s*/g, "$1").split(/\s+/).filter(Boolean);
const namesColumn = (key) => (column) => [column.key, column.name].some((name) => name.toLowerCase() === key || name.toLowerCase().endsWith(`.${key}`) || name.toLowerCase().endsWith(`/${key}`));

// A word of the filter as a test of a run: it occurs somewhere, or compares a column, named by its key or its end.
function tester(word) {
  const [, key, sign, wanted] = word.match(COMPARISON) || [];
  const named = key ? state.columns.filter(namesColumn(key)) : [];
  if (!named.length) return (run) => run.words.includes(word);
  const number = Number(wanted);
  return (run) => named.some((column) => {
    const value = column.of(run), size = asNumber(value);
    if (value === null || value === undefined || value === "") return false;
    if (sign === "<") return size < number;
    if (sign === ">") return size > number;
    if (sign === "<=") return size <= number;
    if (sign === ">=") return size >= number;
    if (!column.number && !column.setting) return String(value).toLowerCase().includes(wanted);
    return Number.isNaN(size) || Number.isNaN(number) ? String(value).toLowerCase() === wanted : size === number;
  });
}

function shownRuns() {
  const tests = filterWords().map(tester);
  const column = state.columns.find((one) => one.id === state.sort.id) || state.columns[1];
  const missing = (value) => value === null || value === undefined || value === "";
  const compare = (a, b) => {
    const [x, y] = [column.of(a), column.of(b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y); // last, whatever the direction
    const [p, q] = [asNumber(x), asNumber(y)];
    const [word, other] = [Number.isNaN(p), Number.isNaN(q)]; // numbers come before words
    const order = word !== other ? word - other : word ? String(x).localeCompare(String(y), "en", { numeric: true }) : p - q;
    return state.sort.up ? order : -order;
  };
  return state.data.runs.filter((run) => tests.every((test) => test(run))).sort(compare);
}

const chip = (run) => element("i", { className: `chip series${state.picked.get(run.path) % 8}` });

function pick(run, on) {
  if (!on) state.picked.delete(run.path);
  else if (!state.picked.has(run.path)) {
    const taken = new Set(state.picked.values());
    let colour = 0;
    while (taken.has(colour)) colour++;
    state.picked.set(run.path, colour);
  }
}

// Follow the mouse: the run lights up in the drawing and in the table.
function lightable(part, run) {
  part.dataset.run = run.id;
  part.addEventListener("pointerenter", () => light([run.id]));
  part.addEventListener("pointerleave", () => light(undefined));
  return part;
}

function drawTable() {
  const runs = shownRuns(), drawn = runs.slice(0, DRAWN);
  const differs = (column) => new Set(runs.map(column.of)).size > 1;
  const columns = state.columns.filter((column) => (column.setting ? differs(column) : column.id === "tags" ? runs.some((run) => run.tags) : !column.number || runs.some((run) => column.of(run) !== null)));
  const all = element("input", { type: "checkbox", ariaLabel: "pick all shown", checked: runs.length > 0 && runs.every((run) => state.picked.has(run.path)) });
  all.addEventListener("change", () => { runs.forEach((run) => pick(run, all.checked)); drawTable(); drawCurves(); });
  const heads = columns.map((column) => {
    const button = element("button", { type: "button", textContent: column.name, title: column.key });
    const head = element("th", { className: column.number ? "num" : "", scope: "col" }, button);
    if (state.sort.id === column.id) head.ariaSort = state.sort.up ? "ascending" : "descending";
    button.addEventListener("click", () => {
      state.sort = { id: column.id, up: state.sort.id === column.id ? !state.sort.up : !column.number && column.id !== "started" };
      drawTable();
    });
    return head;
  });
  const table = get("table");
  table.tHead.replaceChildren(element("tr", {}, element("th", {}, all), ...heads));
  table.tBodies[0].replaceChildren(...drawn.map((run) => {
    const box = element("input", { type: "checkbox", checked: state.picked.has(run.path), ariaLabel: `pick ${run.name}` });
    box.addEventListener("change", () => { pick(run, box.checked); drawTable(); drawCurves(); });
    const cells = columns.map((column) => {
      const value = column.of(run), cell = element("td", { className: column.number ? "num" : "" });
      if (column.id === "name" && (run.report || isLive())) cell.append(element("a", { href: run.link, textContent: value, title: run.notes || run.path }));
      else if (value !== null && value !== undefined && value !== "") cell.textContent = column.text(value);
      if (column.id === "steps" && run.status === "running" && run.all) cell.append(` of ${run.all.toLocaleString("en-US")}`);
      if (column.id === "status") { cell.classList.add(["ok", "failed", "diverged", "running"].find((name) => name === value) || "other"); cell.title = run.error; }
      if (column.id === `metric ${run.monitor}`) cell.classList.add("value");
      return cell;
    });
    return lightable(element("tr", {}, element("td", { className: "pick" }, box, ...(state.picked.has(run.path) ? [chip(run)] : [])), ...cells), run);
  }));
  get("shown").textContent = `${runs.length.toLocaleString("en-US")} of ${state.data.runs.length.toLocaleString("en-US")} shown`;
  const notes = [];
  for (const [, key] of filterWords().map((word) => word.match(COMPARISON) || []))
    if (key && !state.columns.some(namesColumn(key))) notes.push(`No column is called ${key}; settings that all runs share have none.`);
  if (drawn.length < runs.length) notes.push(`The first ${DRAWN} rows; filter or sort to see others.`);
  if (state.data.older) notes.push(`${state.data.older.toLocaleString("en-US")} older runs are left out.`);
  get("notes").textContent = notes.join(" ");
}

// The curves of the runs picked, as the same figure that the other pages have.
function drawCurves() {
  const runs = state.data.runs.filter((run) => state.picked.has(run.path));
  get("picked").textContent = runs.length ? `of ${runs.length} ${runs.length === 1 ? "run" : "runs"} picked` : "no run is picked";
  drawDiffering(runs);
  const before = { slider: document.querySelector("#plot .tools input"), button: document.querySelector("#plot .tools button") };
  const series = runs.map((run) => [run, run.curves[state.metric]]).filter(([, curve]) => curve);
  if (!series.length) {
    get("plot").replaceChildren(element("p", { className: "empty", textContent: runs.length ? `None of them has ${state.metric || "a curve"}.` : "Pick runs in the table to draw their curves." }));
    return;
  }
  const steps_ = series.flatMap(([, [steps]]) => steps);
  const first = steps_.reduce((a, b) => Math.min(a, b)), last = steps_.reduce((a, b) => Math.max(a, b));
  const place = (step) => (last > first ? (step - first) / (last - first) : 0.5);
  const svgPart = (tag, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    return part;
  };
  const svg = svgPart("svg", { viewBox: "0 0 2000 1000", preserveAspectRatio: "none", role: "img", "aria-label": state.metric });
  const data = series.map(([run, [steps, values]]) => {
    let path = "", pen = "M";
    const at = [], kept = [];
    values.forEach((value, i) => {
      if (value === null) { pen = "M"; return; }
      path += `${pen}${Math.round(place(steps[i]) * 2000)} 0`;
      pen = "L";
      at.push(steps[i]);
      kept.push(value);
    });
    const colour = state.picked.get(run.path);
    svg.append(svgPart("path", { class: `line run series${colour % 8}${colour >= 8 ? " dashed" : ""}`, d: path, "data-run": run.id }));
    if (kept.length <= 60) svg.append(svgPart("path", { class: `dots run series${colour % 8}`, d: at.map((step) => `M${Math.round(place(step) * 2000)} 0h0`).join(""), "data-run": run.id }));
    return { name: "", at, values: kept, text: `${run.name}  ${differing(runs).map(([i, name]) => [name, run.settings[i]]).filter(([, value]) => value !== null).map((pair) => pair.join("=")).join(", ")}`, labels: [] };
  });
  const area = element("div", { className: "area" }, svg);
  const ticks = last > first ? steps(first, last).filter(Number.isInteger) : [first];
  for (const tick of ticks) {
    const label = element("span", { className: "xtick", textContent: tickText(tick) });
    label.style.left = `${place(tick) * 100}%`;
    area.append(label);
  }
  area.append(element("i", { className: "rule" }), element("div", { className: "tip" }));
  const legend = element("span", { className: "legend" }, ...(series.length > COMPARED ? [] : series.map(([run]) => lightable(element("span", {}, chip(run), run.name), run))));
  const caption = element("figcaption", {}, element("h3", {}, state.metric, " ", element("small", { className: "scale" })), legend);
  const figure = element("figure", { className: "plain" }, caption, element("div", { className: "plot tall" }, area, element("span", { className: "xname", textContent: "step" })));
  Object.assign(figure.dataset, { kind: "line", x: "step", y: state.metric });
  const values = data.flatMap((line) => line.values), low = values.reduce((a, b) => Math.min(a, b));
  const wide = low > 0 && values.reduce((a, b) => Math.max(a, b)) / low > 100;
  const log = before.button ? before.button.getAttribute("aria-pressed") === "true" && low > 0 : wide;
  figure.querySelector(".scale").textContent = log ? "log scale" : "";
  get("plot").replaceChildren(figure);
  enliven(figure, data);
  const slider = figure.querySelector(".tools input");
  slider.value = before.slider ? before.slider.value : 0;
  slider.dispatchEvent(new Event("input")); // places the lines, and draws the other scale
}

// [index, name] of the settings in which some runs differ.
function differing(runs) {
  return state.data.keys.map(([, name], i) => [i, name]).filter(([i]) => new Set(runs.map((run) => run.settings[i])).size > 1);
}

function drawDiffering(runs) {
  const compared = runs.slice(0, COMPARED), keys = differing(compared), box = get("differing");
  if (compared.length < 2) return box.replaceChildren();
  if (!keys.length) return box.replaceChildren(element("p", { className: "empty", textContent: "Their settings are the same." }));
  const head = element("tr", {}, element("th", { textContent: "Settings that differ" }), ...compared.map((run) => lightable(element("th", { title: run.path }, chip(run), run.name), run)));
  const lines = keys.map(([i, name]) => element("tr", {}, element("th", { textContent: name, title: state.data.keys[i][0], scope: "row" }), ...compared.map((run) => element("td", { textContent: run.settings[i] ?? "" }))));
  box.replaceChildren(element("table", { className: "data" }, head, ...lines));
  if (compared.length < runs.length) box.append(element("p", { className: "notes", textContent: `The first ${COMPARED} of the ${runs.length} picked.` }));
}

// Show what the folders hold now; picks, filter and order stay.
function load(data) {
  const known = new Set(state.data ? state.data.runs.map((run) => run.path) : []);
  const isFirst = state.data === null;
  Object.assign(state, { data, columns: columnsOf(data) });
  data.runs.forEach((run, i) => {
    const pairs = data.keys.map(([key, name], j) => (run.settings[j] === null ? "" : `${key}=${run.settings[j]}`));
    run.id = String(i);
    run.words = [run.path, run.started, run.status, run.tags, run.notes, run.dataset, run.model, ...pairs].join("\n").toLowerCase();
    if (!isFirst && !known.has(run.path) && run.status === "running") pick(run, true); // it has just begun
  });
  if (isFirst) data.runs.filter((run) => Object.keys(run.curves).length).slice(0, FIRST).forEach((run) => pick(run, true));
  for (const path of [...state.picked.keys()]) if (!data.runs.some((run) => run.path === path)) state.picked.delete(path);
  const names = [...new Set([...data.metrics, "train/loss"])].filter((name) => data.runs.some((run) => name in run.curves));
  if (!names.includes(state.metric)) state.metric = names[0] || null;
  get("metric").replaceChildren(...names.map((name) => element("option", { value: name, textContent: name, selected: name === state.metric })));
  const counts = {};
  for (const run of data.runs) counts[run.status] = (counts[run.status] || 0) + 1;
  const parts = Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([status, count]) => `${count.toLocaleString("en-US")} ${status}`);
  get("title").replaceChildren(`${data.runs.length.toLocaleString("en-US")} ${data.runs.length === 1 ? "run" : "runs"}`, element("small", { textContent: parts.join(", ") }));
  drawTable();
  drawCurves();
}

async function follow() {
  const said = get("state"), begun = performance.now();
  try {
    const answer = await fetch("./data.json", { cache: "no-store", headers: state.tag ? { "If-None-Match": state.tag } : {} });
    if (answer.status === 200) {
      state.tag = answer.headers.get("ETag");
      load(await answer.json());
    }
    said.textContent = `following, ${new Date().toLocaleTimeString("en-GB")}`;
  } catch {
    said.textContent = "the server does not answer";
  }
  setTimeout(follow, Math.max(2000, 9 * (performance.now() - begun))); // the server works a tenth of the time at most
}

get("filter").addEventListener("input", drawTable);
get("metric").addEventListener("change", () => { state.metric = get("metric").value; drawCurves(); });
get("none").addEventListener("click", () => { state.picked.clear(); drawTable(); drawCurves(); });
load(JSON.parse(get("data").textContent));
if (isLive()) follow();
