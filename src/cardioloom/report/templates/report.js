// Redraws the ECG paper with the rules of report/paper.py: lengths in mm, x to the right in time, y downwards.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("ecg-data").textContent);
const svg = byId("ecg-sheet"), drawing = byId("ecg-drawing"), tools = byId("ecg-tools"), box = byId("ecg-box");
const PAPER = 250, MARGIN = 3, SHEET = 172, LANE = 5, MAX_LANES = 6;
const LABEL_RISE = 6, LABEL_TOP = 4, LETTER = 2.5, LETTER_HEIGHT = 2.8, CLEAR = 0.6, LABEL_X = 1.2, LABEL_SHIFTS = 8, SHIFT = 2, LABEL_ROOM = 36;
const BRACKET_UP = 2.5, BRACKET_DOWN = 4;
const LETTER_SHIFT = { p: -0.6, qrs: 0.8, t: 0 };
const WAVES = [["p", "P", "p_on", "p_off"], ["qrs", "QRS", "qrs_on", "qrs_off"], ["t", "T", "t_on", "t_off"]];
const state = { layout: data.layouts[0].code, gain: data.gain, speed: 25, page: 0, zoom: 1,
  spans: true, measuring: false };
let view = null;

const samples = data.samples.map((text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const words = new DataView(bytes.buffer), out = new Float32Array(bytes.length / 2);
  for (let k = 0; k < out.length; k++) {
    const count = words.getInt16(2 * k, true);
    out[k] = count === data.missing ? NaN : count * data.step;
  }
  return out;
});

function element(name, attributes, parent, text) {
  const node = document.createElementNS(svg.namespaceURI, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
const fixed = (x) => String(Math.round(x * 100) / 100);
const largest = (values, row) => Math.max(...row.map((k) => values[k])) * state.gain;

// Which indices to draw: everything, or each bucket's smallest and largest, so that no peak is lost.
function kept(row, first, last) {
  const bucket = Math.floor(data.fs / (state.speed * 10)), out = [];
  if (bucket <= 2) {
    for (let k = first; k < last; k++) out.push(k);
    return out;
  }
  for (let a = first; a < last; a += bucket) {
    const b = Math.min(a + bucket, last);
    let low = a, high = a, gap = false;
    for (let k = a; k < b; k++) {
      if (row[k] < row[low]) low = k;
      if (row[k] > row[high]) high = k;
      gap = gap || Number.isNaN(row[k]);
    }
    if (gap || b === last) for (let k = a; k < b; k++) out.push(k);
    else if (low === high) out.push(low);
    else out.push(Math.min(low, high), Math.max(low, high));
  }
  return out;
}

function traceOf(row, start, stop) {
  const first = Math.ceil(start * data.fs - 1e-6), last = Math.min(row.length, Math.ceil(stop * data.fs - 1e-6) + 1);
  const gaps = [];
  let path = "", down = false, hole = -1;
  for (const k of kept(row, first, last)) {
    const x = (k / data.fs - start) * state.speed;
    if (Number.isNaN(row[k])) {
      if (hole < 0) hole = x;
      down = false;
      continue;
    }
    if (hole >= 0) gaps.push([hole, x - hole]);
    hole = -1;
    path += (down ? "L" : "M") + fixed(x) + " " + fixed(-row[k] * state.gain);
    down = true;
  }
  if (hole >= 0) gaps.push([hole, Math.max(0, (stop - start) * state.speed - hole)]);
  return { path, gaps: gaps.filter(([, width]) => width >= 0.04 * state.speed) };
}

function pages() {
  const length = PAPER / state.speed, starts = [0];
  while (starts[starts.length - 1] + length < data.seconds - 0.02 * length) {
    starts.push(Math.max(0, Math.min(starts[starts.length - 1] + length, data.seconds - length)));
  }
  return starts;
}

function geometry() {
  const rows = data.layouts.find((layout) => layout.code === state.layout).rows;
  const up = rows.map((row) => largest(data.up, row)), down = rows.map((row) => largest(data.down, row));
  const pulse = state.gain >= 5 ? 1 : 10 / state.gain;
  const lanes = state.spans ? Math.min(MAX_LANES, data.spans.length) : 0;
  const top = Math.ceil(Math.min(45, Math.max(14, pulse * state.gain + 4, up[0] + 6)));
  const bottom = Math.ceil(Math.min(40, Math.max(11, down[down.length - 1] + 8))) + lanes * LANE;
  let spacing = 0;
  if (rows.length > 1) {
    const need = Math.max(...down.slice(0, -1).map((mm, k) => mm + up[k + 1])) + 2;
    const limit = (SHEET - top - bottom) / (rows.length - 1);
    spacing = Math.max(1, Math.floor(Math.min(Math.max(20, need), limit, 40)));
  }
  const gutter = 5 + 0.2 * state.speed, height = top + spacing * (rows.length - 1) + bottom;
  const starts = pages();
  state.page = Math.min(state.page, starts.length - 1);
  const together = data.seconds < (0.98 * PAPER) / state.speed && rows.some((row) => row.length > 1);
  return { rows, up, down, pulse, lanes, top, bottom, spacing, gutter, height, starts, together,
    width: gutter + PAPER + MARGIN, start: starts[state.page], lastY: top + spacing * (rows.length - 1) };
}

function drawGrid(g) {
  const paths = ["", ""];
  for (let x = 0; x <= Math.floor(g.width); x++) paths[x % 5 ? 0 : 1] += `M${x} 0V${g.height}`;
  for (let y = 0; y <= Math.floor(g.height); y++) paths[y % 5 ? 0 : 1] += `M0 ${y}H${g.width}`;
  element("path", { class: "grid-1", d: paths[0] }, drawing);
  element("path", { class: "grid-5", d: paths[1] }, drawing);
  const high = g.pulse * state.gain, wide = 0.2 * state.speed;
  const step = g.rows.length > 1 ? Math.ceil((high + 1) / g.spacing) : 1;
  const pulses = g.rows.map((_, n) => n % step ? "" : `M1.5 ${g.top + n * g.spacing}h1v${-high}h${wide}v${high}h1`);
  element("path", { class: "trace pulse", d: pulses.join("") }, drawing);
}

function drawCell(g, lead, x, y, start, seconds) {
  const stop = Math.min(start + seconds, data.seconds);
  const cell = element("g", { transform: `translate(${fixed(x)} ${y})` }, drawing);
  if (x > g.gutter) element("path", { class: "divider", d: "M0 -4.5v2.5M0 2v2.5" }, cell);
  const { path, gaps } = traceOf(samples[lead], start, stop);
  for (const [at, width] of gaps) {
    element("rect", { class: "hatch", x: fixed(at), y: -5, width: fixed(width), height: 10 }, cell);
    if (width > 22) element("text", { class: "gap", x: fixed(at + width / 2), y: 1 }, cell, "not recorded");
  }
  element("path", { class: "trace", d: path }, cell);
  drawWaves(g, cell, y, start, stop);
  return { lead, x, y, start, stop, seconds };
}

// The pieces of a trace that its name could lie on: smallest and largest x and y, mm from the cell's origin.
function pieces(lead, start, stop, shift) {
  const row = samples[lead], first = Math.ceil(start * data.fs - 1e-6), out = [];
  const last = Math.min(row.length, Math.ceil(stop * data.fs - 1e-6) + 1, first + Math.ceil((LABEL_ROOM / state.speed) * data.fs));
  for (let k = first; k + 1 < last; k++) {
    const x = ((k - first) / data.fs) * state.speed, a = -row[k] * state.gain - shift, b = -row[k + 1] * state.gain - shift;
    out.push([x, x + state.speed / data.fs, Math.min(a, b), Math.max(a, b)]);
  }
  return out;
}

// Where a lead's name stands so that no trace runs through it: the rule of place_label in report/marks.py.
function placeLabel(g, cell, n, column, width) {
  const name = data.leads[cell.lead], derived = data.derived.includes(name), wide = LETTER * name.length + (derived ? 12 : 0);
  const usual = g.spacing ? Math.min(LABEL_RISE, 0.3 * g.spacing) : LABEL_RISE, reach = (n ? g.spacing : g.top) - LABEL_TOP;
  const traces = pieces(cell.lead, cell.start, cell.stop, 0);
  if (n) {
    const above = g.rows[n - 1];
    traces.push(...pieces(above[Math.min(column, above.length - 1)], cell.start, cell.stop, g.spacing));
  }
  let best = Infinity, x = LABEL_X, rise = usual;
  for (let m = 0; m < LABEL_SHIFTS; m++) {
    const at = LABEL_X + m * SHIFT;
    if (m && at + wide > width) break;
    const near = traces.filter(([left, right]) => right > at - CLEAR && left < at + wide + CLEAR);
    for (let k = 0; usual + k <= Math.max(usual, reach) + 1e-9; k++) {
      const high = usual + k, hits = near.filter(([, , top, bottom]) => top < CLEAR - high && bottom > -high - LETTER_HEIGHT - CLEAR).length;
      const cost = 100 * hits + k + 2 * m;
      if (cost < best) [best, x, rise] = [cost, at, high];
    }
  }
  const label = element("text", { class: "lead", x: fixed(cell.x + x), y: fixed(cell.y - rise) }, drawing, name);
  if (derived) element("tspan", { class: "derived" }, label, ", derived");
}

function drawMarks(g, last) {
  const at = (t) => last.x + (t - last.start) * state.speed;
  const inside = (t) => t >= last.start && t < last.stop;
  const rhythm = g.rows[0].length > 1 && g.rows[g.rows.length - 1].length === 1;
  if (rhythm || !g.together) {
    const y = rhythm ? last.y - g.up[g.up.length - 1] - 2 : 3;
    for (const t of data.peaks.filter(inside)) {
      element("path", { class: "mark-r", d: `M${fixed(at(t))} ${fixed(y)}l-1 -1.8h2z` }, drawing);
    }
  }
  if (state.spans) data.spans.slice(0, MAX_LANES).forEach((finding, lane) => {
    const y = g.height - 6 - lane * LANE;
    for (const [from, to] of finding.spans) {
      if (to < last.start || from >= last.stop) continue;
      const a = at(Math.max(from, last.start)), b = at(Math.min(to, last.stop));
      element("path", { class: "mark-span", d: `M${fixed(a)} ${y - 1}v2M${fixed(a)} ${y}H${fixed(b)}M${fixed(b)} ${y - 1}v2` }, drawing);
      element("text", { class: "mark-text start", x: fixed(a + 1), y: y - 1.3 }, drawing, finding.code);
    }
  });
}

// Brackets round the waves; the style sheet hides them until they are asked for.
function drawWaves(g, parent, y, start, stop) {
  const group = element("g", { class: "waves" }, parent);
  for (const beat of data.waves) for (const [kind, name, on, off] of WAVES) {
    const from = beat[on], to = beat[off];
    if (!(from < to) || to < start || from >= stop) continue;
    const a = (Math.max(from, start) - start) * state.speed, b = (Math.min(to, stop) - start) * state.speed;
    element("path", { class: "mark-" + kind, d: `M${fixed(a)} ${-BRACKET_UP}V${BRACKET_DOWN}H${fixed(b)}V${-BRACKET_UP}` }, group);
    if (y === g.lastY) element("text", { class: "mark-text", x: fixed((a + b) / 2 + LETTER_SHIFT[kind]), y: 6.8 }, group, name);
  }
}

function drawLegend(g) {
  if (!data.waves.length) return;
  const group = element("g", { class: "waves" }, drawing), y = g.height - 2.8;
  [46, 33, 16].forEach((back, k) => {
    const x = g.width - back;
    element("path", { class: "mark-" + WAVES[k][0], d: `M${x} ${y - 1.5}v2h5v-2` }, group);
    element("text", { class: "mark-text start", x: x + 6, y: y + 1 }, group, WAVES[k][1]);
  });
}

function draw() {
  const g = (view = geometry());
  drawing.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${g.width} ${g.height}`);
  svg.style.setProperty("--w", g.width);
  svg.style.setProperty("--h", g.height);
  drawGrid(g);
  const cells = g.rows.flatMap((row, n) => row.map((lead, column) => {
    const width = PAPER / row.length, seconds = width / state.speed;
    const start = g.start + (g.together ? 0 : column * seconds);
    return { ...drawCell(g, lead, g.gutter + column * width, g.top + n * g.spacing, start, seconds), n, column, width };
  }));
  cells.forEach((cell) => placeLabel(g, cell, cell.n, cell.column, cell.width));
  const last = cells[cells.length - 1], single = g.rows[g.rows.length - 1].length === 1;
  drawMarks(g, single ? last : { ...last, x: g.gutter, start: g.start, stop: Math.min(g.start + PAPER / state.speed, data.seconds) });
  const parts = [`${state.speed} mm/s`, `${state.gain} mm/mV`, "as recorded, not filtered", `pulse ${g.pulse} mV, 200 ms`];
  if (g.together) parts.push(`each column starts at ${fixed(g.start)} s`);
  if (g.starts.length > 1) parts.push(span(g));
  element("text", { class: "scale", x: 1.5, y: g.height - 1.8 }, drawing, parts.join("   "));
  drawLegend(g);
  byId("ecg-pager").hidden = g.starts.length < 2;
  byId("ecg-page").textContent = span(g);
  byId("ecg-back").disabled = state.page === 0;
  byId("ecg-on").disabled = state.page === g.starts.length - 1;
}
const span = (g) => `${fixed(g.start)}–${fixed(Math.min(g.start + PAPER / state.speed, data.seconds))} s of ${fixed(data.seconds)} s`;
