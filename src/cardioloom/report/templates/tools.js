// Zoom, pages, pan and calipers over the drawing of report.js; both files run in one function.
function zoom(factor, clientX) {
  const rect = box.getBoundingClientRect(), x = (clientX === undefined ? rect.left + rect.width / 2 : clientX) - rect.left;
  const before = (box.scrollLeft + x) / state.zoom;
  state.zoom = Math.min(5, Math.max(0.25, factor));
  svg.style.setProperty("--zoom", state.zoom);
  box.scrollLeft = before * state.zoom - x;
  byId("ecg-zoom").textContent = `${Math.round(100 * state.zoom)} %`;
}

// Calipers: two ends in mm of the sheet; the group is made once so that the focus stays while an end moves.
const calipers = { ends: null, group: null };
function removeCalipers() {
  calipers.ends = null;
  tools.replaceChildren();
  byId("ecg-readout").textContent = "";
}
function placeCalipers(ends) {
  calipers.ends = ends;
  if (!tools.firstChild) {
    for (const name of ["area", "line", "level"]) element(name === "area" ? "rect" : "path", { class: "caliper-" + name }, tools);
    element("text", { class: "caliper-text" }, tools);
    for (const k of [0, 1]) {
      const end = element("circle", { class: "caliper-end", r: 1.6, tabindex: 0, role: "button", "data-end": k,
        "aria-label": `Caliper end ${k + 1}, move with the arrow keys` }, tools);
      end.addEventListener("keydown", moveEnd);
    }
  }
  const [a, b] = ends, [area, line, level, text, ...handles] = tools.children;
  const left = Math.min(a.x, b.x), wide = Math.abs(a.x - b.x), ms = Math.round((1000 * wide) / state.speed);
  const millivolts = Math.abs(a.y - b.y) / state.gain;
  for (const [key, value] of [["x", left], ["y", 0], ["width", wide], ["height", view.height]]) area.setAttribute(key, value);
  line.setAttribute("d", `M${a.x} 0V${view.height}M${b.x} 0V${view.height}`);
  level.setAttribute("d", `M${left - 4} ${a.y}H${left + wide + 4}M${left - 4} ${b.y}H${left + wide + 4}`);
  handles.forEach((handle, k) => { handle.setAttribute("cx", ends[k].x); handle.setAttribute("cy", ends[k].y); });
  const words = `${ms} ms · ${ms > 0 ? Math.round(60000 / ms) + " bpm" : "– bpm"} · ${millivolts.toFixed(millivolts < 10 ? 2 : 0)} mV`;
  const middle = left + wide / 2, side = middle < 35 ? " start" : middle > view.width - 35 ? " end" : "";
  text.setAttribute("class", "caliper-text" + side);
  text.setAttribute("x", side === " start" ? 2 : side === " end" ? view.width - 2 : middle);
  text.setAttribute("y", 5);
  text.textContent = words;
  byId("ecg-readout").textContent = "Calipers: " + words;
}
function moveEnd(event) {
  const step = event.shiftKey ? 1 : 0.1, k = Number(event.target.dataset.end);
  const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (!by) return;
  event.preventDefault();
  const end = calipers.ends[k];
  end.x = Math.min(view.width, Math.max(0, end.x + by[0]));
  end.y = Math.min(view.height, Math.max(0, end.y + by[1]));
  placeCalipers(calipers.ends);
}
function measure(on) {
  state.measuring = on;
  byId("ecg-calipers").setAttribute("aria-pressed", on);
  box.classList.toggle("measuring", on);
  box.classList.toggle("grab", !on);
  if (!on) return removeCalipers();
  const [x, y] = [view.gutter + 25, view.lastY];
  placeCalipers([{ x, y }, { x: x + 25, y: y - Math.min(10, view.lastY) }]);
}
function place(event) {
  const rect = svg.getBoundingClientRect();
  return { x: ((event.clientX - rect.left) / rect.width) * view.width, y: ((event.clientY - rect.top) / rect.height) * view.height };
}

let drag = null;
box.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  if (state.measuring) {
    const held = event.target.dataset ? event.target.dataset.end : undefined, here = place(event);
    drag = { end: held === undefined ? 1 : Number(held) };
    if (held === undefined) placeCalipers([here, { ...here }]);
    event.preventDefault();
    tools.querySelector(`[data-end="${drag.end}"]`).focus({ preventScroll: true });
  } else if (event.pointerType === "mouse") {
    drag = { x: event.clientX + box.scrollLeft, y: event.clientY + box.scrollTop };
    box.classList.add("grabbing");
  } else return;
  box.setPointerCapture(event.pointerId);
});
box.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (drag.end !== undefined && calipers.ends) {
    calipers.ends[drag.end] = place(event);
    placeCalipers(calipers.ends);
  } else if (drag.x !== undefined) box.scrollTo(drag.x - event.clientX, drag.y - event.clientY);
});
for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, () => { drag = null; box.classList.remove("grabbing"); });
box.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(state.zoom * Math.exp(-event.deltaY / 300), event.clientX);
}, { passive: false });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !state.measuring) return;
  const inside = tools.contains(document.activeElement);
  measure(false);
  if (inside) byId("ecg-calipers").focus();
});

const controls = byId("ecg-controls");
controls.addEventListener("change", (event) => {
  const { name, value, checked, type } = event.target, seen = view.start;
  state[name] = type === "checkbox" ? checked : name === "layout" ? value : Number(value);
  if (name === "speed") state.page = Math.max(0, pages().findLastIndex((start) => start <= seen + 1e-6));
  draw();
  if (calipers.ends) measure(true);
});
controls.addEventListener("submit", (event) => event.preventDefault());
const turn = (by) => { state.page += by; draw(); if (calipers.ends) measure(true); };
byId("ecg-back").addEventListener("click", () => turn(-1));
byId("ecg-on").addEventListener("click", () => turn(1));
byId("ecg-in").addEventListener("click", () => zoom(state.zoom * 1.25));
byId("ecg-out").addEventListener("click", () => zoom(state.zoom / 1.25));
byId("ecg-fit").addEventListener("click", () => zoom((state.zoom * box.clientWidth) / svg.getBoundingClientRect().width));
byId("ecg-calipers").addEventListener("click", () => measure(!state.measuring));
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((node) => { node.open = true; }));

document.querySelectorAll("#ecg-controls .scripted").forEach((node) => { node.hidden = false; });
byId("ecg-help").hidden = false;
box.classList.add("grab");
draw();
