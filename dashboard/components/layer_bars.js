// Draws layers in execution order as bars. `data` comes from layer_bars.py; what the user does goes back as triggers `layer`
// (the position of a layer) and `range` (positions to draw alone; none for all).

const MARGIN = { left: 54, right: 6, bottom: 42 };
const LINE = 20; // of the legend
const CLICK = 6; // pixels that a click may move

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Round steps from 0 to `highest`, about `count` of them. */
function steps(highest, count) {
  const rough = (highest || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((value) => value >= rough * (1 - 1e-9));
  return Array.from({ length: Math.floor(highest / step + 1e-9) + 1 }, (_, index) => index * step);
}

class LayerBars {
  constructor(parent) {
    this.root = parent.querySelector(".layer-bars");
    this.plot = this.root.querySelector(".plot");
    this.tip = this.root.querySelector(".tip");
    this.status = this.root.querySelector(".told");
    this.root.querySelector(".tools").addEventListener("click", (event) => this.press(event.target.dataset.do));
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.leave());
    this.plot.addEventListener("pointerdown", (event) => this.grab(event));
    this.plot.addEventListener("pointerup", (event) => this.release(event));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.data && this.plot.clientWidth !== this.width && this.draw()).observe(this.plot);
  }

  update({ data, setTriggerValue }) {
    this.tell = setTriggerValue;
    this.data = data;
    this.root.querySelector("[data-do=all]").hidden = data.bars.length === 0 || this.span() === data.total;
    this.plot.setAttribute("aria-label", data.label);
    this.cursor = data.bars.findIndex((bar) => bar.first <= data.selected && data.selected <= bar.last);
    this.draw();
    this.say(this.data.bars[this.cursor]?.told.join(", ") ?? "");
    this.root.dataset.bars = data.bars.length;
    this.root.dataset.selected = data.selected;
  }

  span() {
    return this.data.bars.at(-1).last - this.data.bars[0].first + 1;
  }

  draw() {
    const { bars, legend, height, unit, axis } = this.data;
    this.width = this.plot.clientWidth;
    if (this.width <= MARGIN.left + MARGIN.right) return; // behind another tab; it is drawn when it is seen
    const drawing = element("svg", { width: this.width, height, "aria-hidden": true, "font-size": 12 });
    const top = this.drawLegend(drawing, legend);
    this.frame = { left: MARGIN.left, right: this.width - MARGIN.right, top: top + 22, bottom: height - MARGIN.bottom };
    const { left, right, bottom } = this.frame;
    const most = Math.max(...bars.map((bar) => Object.values(bar.parts).reduce((sum, part) => sum + part, 0)));
    const stacked = bars.map(() => 0);
    const y = (value) => bottom - ((bottom - this.frame.top) * value) / (most || 1);
    for (const tick of steps(most, 4)) {
      drawing.append(element("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), stroke: "currentColor", "stroke-opacity": 0.15 }));
      drawing.append(element("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end", fill: "currentColor" }, +tick.toPrecision(3)));
    }
    drawing.append(element("text", { x: left, y: top + 12, fill: "currentColor" }, unit));
    this.drawSelected(drawing);
    for (const [category, colour] of Object.entries(legend)) drawing.append(this.drawBars(category, colour, y, stacked));
    const [first, span] = [bars[0].first, this.span()];
    for (const tick of steps(span, Math.max(2, Math.floor((right - left) / 130))).map((step) => (step ? first - 1 + step : first))) {
      if (!Number.isInteger(tick) || tick >= first + span) continue;
      const x = (this.x(tick) + this.x(tick + 1)) / 2;
      const anchor = x > right - 24 ? "end" : "middle";
      drawing.append(element("text", { x: anchor === "end" ? right : x, y: bottom + 20, "text-anchor": anchor, fill: "currentColor" }, tick.toLocaleString("en")));
    }
    drawing.append(element("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle", fill: "currentColor" }, axis));
    this.mark = element("rect", { y: this.frame.top, height: bottom - this.frame.top, fill: "currentColor", "fill-opacity": 0.12, "data-live": "", visibility: "hidden" });
    drawing.append(this.mark);
    this.plot.querySelector("svg")?.remove();
    this.plot.prepend(drawing);
  }

  /** In as many lines as it needs; returns where it ends. */
  drawLegend(drawing, legend) {
    const measure = document.createElement("canvas").getContext("2d");
    measure.font = `12px ${getComputedStyle(this.root).fontFamily}`;
    let [x, y] = [MARGIN.left, 2];
    for (const [name, colour] of Object.entries(legend)) {
      const wide = 34 + measure.measureText(name).width;
      if (x + wide > this.width && x > MARGIN.left) [x, y] = [MARGIN.left, y + LINE];
      drawing.append(element("rect", { x, y: y + 2, width: 11, height: 11, rx: 2, fill: colour }));
      drawing.append(element("text", { x: x + 17, y: y + 12, fill: "currentColor" }, name));
      x += wide;
    }
    return y + LINE;
  }

  /** A category's part of each bar, upon what is drawn already. */
  drawBars(category, colour, y, stacked) {
    const parts = this.data.bars.map((bar, index) => {
      if (!bar.parts[category]) return "";
      const base = stacked[index];
      const top = (stacked[index] += bar.parts[category]);
      const [start, end] = [this.x(bar.first), this.x(bar.last + 1)];
      const gap = end - start > 3 ? Math.min(2, 0.14 * (end - start)) : 0;
      return `M${(start + gap / 2).toFixed(2)} ${y(base).toFixed(2)}V${y(top).toFixed(2)}H${(end - gap / 2).toFixed(2)}V${y(base).toFixed(2)}Z`;
    });
    return element("path", { d: parts.join(""), fill: colour });
  }

  drawSelected(drawing) {
    const bar = this.data.bars[this.cursor];
    if (!bar) return;
    const [start, end] = [this.x(bar.first), this.x(bar.last + 1)];
    const accent = getComputedStyle(this.root).getPropertyValue("--st-primary-color").trim();
    const middle = (start + end) / 2;
    const { top, bottom } = this.frame;
    drawing.append(element("rect", { x: start, y: top, width: end - start, height: bottom - top, fill: accent, "fill-opacity": 0.28 }));
    drawing.append(element("path", { d: `M${middle - 6} ${bottom + 7}l6 -7l6 7z`, fill: accent }));
    drawing.append(element("line", { x1: middle, x2: middle, y1: top, y2: bottom, stroke: accent, "stroke-dasharray": "2 3" }));
  }

  /** Where a layer begins, in pixels. */
  x(position) {
    const { left, right } = this.frame;
    return left + ((right - left) * (position - this.data.bars[0].first)) / this.span();
  }

  /** Index of the bar under the pointer, the nearest where it is beside all. */
  under(event) {
    const { left, right } = this.frame;
    const share = (event.clientX - this.plot.getBoundingClientRect().left - left) / (right - left);
    const position = this.data.bars[0].first + Math.floor(Math.min(Math.max(share, 0), 1 - 1e-9) * this.span());
    return this.data.bars.findIndex((bar) => position <= bar.last);
  }

  point(event) {
    const index = this.under(event);
    this.show(index, this.grabbed?.index ?? index);
  }

  /** Marks the bars between two, and tells of the first of them. */
  show(index, other = index) {
    const { bars } = this.data;
    const [start, end] = [this.x(bars[Math.min(index, other)].first), this.x(bars[Math.max(index, other)].last + 1)];
    for (const [name, value] of Object.entries({ x: start, width: Math.max(1, end - start), visibility: "visible" })) this.mark.setAttribute(name, value);
    this.tip.replaceChildren(...bars[index].told.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    this.tip.hidden = false;
    const x = (this.x(bars[index].first) + this.x(bars[index].last + 1)) / 2;
    const left = Math.min(Math.max(0, x + 14), this.width - this.tip.offsetWidth);
    this.tip.style.left = `${x + 14 + this.tip.offsetWidth > this.width ? Math.max(0, x - 14 - this.tip.offsetWidth) : left}px`;
  }

  leave() {
    this.tip.hidden = true;
    this.mark?.setAttribute("visibility", "hidden");
    this.grabbed = undefined;
  }

  grab(event) {
    if (event.button === 0) this.grabbed = { index: this.under(event), x: event.clientX };
  }

  release(event) {
    const start = this.grabbed;
    this.grabbed = undefined;
    if (!start) return;
    const end = this.under(event);
    if (Math.abs(event.clientX - start.x) <= CLICK || end === start.index) this.select(end);
    else this.zoom(Math.min(start.index, end), Math.max(start.index, end));
  }

  select(index) {
    this.tell("layer", this.data.bars[index].heaviest);
  }

  zoom(from, to) {
    const { bars } = this.data;
    this.tell("range", { first: bars[from].first, last: bars[to].last, nonce: Date.now() });
  }

  /** Half of what is drawn, around the cursor. */
  closer() {
    const { bars } = this.data;
    const count = Math.max(1, Math.ceil(bars.length / 4));
    if (this.span() > 1) this.zoom(Math.max(0, this.cursor - count), Math.min(bars.length - 1, this.cursor + count));
  }

  press(action) {
    if (action === "all") this.tell("range", { nonce: Date.now() });
    if (action === "png" || action === "svg") saveChart(this.plot.querySelector("svg"), this.root, action, this.data.name);
  }

  key(event) {
    const last = this.data.bars.length - 1;
    const to = { ArrowRight: this.cursor + 1, ArrowLeft: this.cursor - 1, Home: 0, End: last }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (to !== undefined) {
      this.cursor = Math.min(Math.max(to, 0), last);
      this.show(this.cursor);
      this.say(this.data.bars[this.cursor].told.join(", "));
    } else if (event.key === "Enter" && this.cursor >= 0) this.select(this.cursor);
    else if (event.key === "+" || event.key === "=") this.closer();
    else if (event.key === "-" || event.key === "Escape") this.press("all");
    else return;
    event.preventDefault();
  }

  say(text) {
    this.status.textContent = text;
  }
}

const shown = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  if (!shown.has(parentElement)) shown.set(parentElement, new LayerBars(parentElement));
  shown.get(parentElement).update(component);
}
