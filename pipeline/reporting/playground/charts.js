// Charts of one value per word, each with a sentence for screen readers and a table of its numbers.
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const HEAT_HEIGHT = 150;
const BLUE = [20, 120, 200];
const ORANGE = [230, 115, 20];
const MARGIN = { left: 52, right: 6, top: 8, bottom: 18 };

function make(name, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
}

function drawn(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A share as people read it: 37 %, 0.4 %, 10^-7 %.
function percent(share) {
  const value = 100 * share;
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0 %";
  if (Math.abs(value) < 1e-4) return `10^${Math.round(Math.log10(Math.abs(value)))} %`;
  return `${Number(value.toPrecision(Math.abs(value) < 10 ? 1 : 2))} %`;
}

function probabilityText(value) {
  return value > 0.999 ? "over 99.9 %" : value < 0.001 ? "under 0.1 %" : `${(100 * value).toFixed(1)} %`;
}

const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;
const finite = (pairs) => pairs.filter(([, value]) => Number.isFinite(value));

// A column is a word (0, 1, 2, ...) or a token in front of the words (-1, -2, ...). A pair is a column and its value.
class Chart {
  // `onPick` gets the column of a click.
  constructor(title, onPick) {
    this.title = make("h4", { textContent: title });
    this.help = make("p", { className: "help" });
    this.picture = make("div", { className: "picture" });
    this.pointed = make("p", { className: "pointed", ariaHidden: "true" });
    this.table = make("div", { className: "numbers", tabIndex: 0, role: "region", ariaLabel: `Numbers: ${title}` });
    this.details = make("details", {}, make("summary", { textContent: "The numbers as a table" }), this.table);
    const caption = make("figcaption", {}, this.title, this.help);
    this.element = make("figure", {}, caption, this.picture, this.pointed, this.details);
    this.details.addEventListener("toggle", () => this.fillTable());
    this.picture.addEventListener("pointermove", (event) => this.point(this.columnAt(event)));
    this.picture.addEventListener("pointerleave", () => (this.pointed.textContent = ""));
    this.picture.addEventListener("click", (event) => onPick(this.columnAt(event)));
  }

  columnAt(event) {
    const share = (event.clientX - this.picture.getBoundingClientRect().left - MARGIN.left) / this.inner;
    const { first, last } = this.spec;
    return Math.min(last, Math.max(first, first + Math.floor(share * (last - first + 1))));
  }

  point(column) {
    const cells = this.spec.cells(column);
    const parts = cells?.slice(0, 6).map((cell, index) => `${this.spec.headings[index]}: ${cell}`);
    this.pointed.textContent = parts?.join(", ") ?? "";
  }

  // Takes long for many units, so it waits until the page has nothing else to do.
  fillTable() {
    if (!this.details.open || !this.spec) return;
    const { first, last, headings, cells } = this.spec;
    const head = headings.map((heading) => make("th", { scope: "col", textContent: heading }));
    const body = make("tbody");
    for (let column = first; column <= last; column++) {
      const [name, ...values] = cells(column) ?? [];
      if (name === undefined) continue;
      const row = values.map((value) => make("td", { textContent: value }));
      body.append(make("tr", {}, make("th", { scope: "row", textContent: name }), ...row));
    }
    const caption = make("caption", { textContent: this.title.textContent });
    this.table.replaceChildren(make("table", {}, caption, make("thead", {}, make("tr", {}, ...head)), body));
  }

  // Every spec has: `first` and `last` (columns), `cursor` (the last column read), `summary`, `headings` and `cells`
  // (from a column to its row of the table, or undefined).
  start(spec) {
    this.spec = spec;
    this.width = Math.max(this.picture.clientWidth, 240);
    this.inner = this.width - MARGIN.left - MARGIN.right;
    this.step = this.inner / (spec.last - spec.first + 1);
    this.label = `${this.title.textContent}. ${spec.summary}`;
  }

  x(column) {
    return MARGIN.left + (column - this.spec.first + 0.5) * this.step;
  }

  finish(svg, bottom, ...before) {
    const x = this.x(this.spec.cursor) + this.step / 2;
    svg.append(drawn("line", { class: "cursor", x1: x, x2: x, y1: 0, y2: bottom }));
    this.picture.replaceChildren(...before, svg);
  }

  // `y` maps a value to a height from 0 to 1. `lines` and `bars` have `pairs` and a `name`, which is their CSS class.
  draw(spec) {
    this.start(spec);
    const inner = HEIGHT - MARGIN.top - MARGIN.bottom;
    const end = this.width - MARGIN.right;
    const y = (value) => (MARGIN.top + (1 - Math.min(1.02, Math.max(-0.02, spec.y(value)))) * inner).toFixed(1);
    const x = (column) => this.x(column).toFixed(1);
    const svg = drawn("svg", { width: this.width, height: HEIGHT, role: "img", "aria-label": this.label });
    for (const { at, label } of spec.ticks) {
      svg.append(drawn("line", { class: "grid", x1: MARGIN.left, x2: end, y1: y(at), y2: y(at) }));
      svg.append(drawn("text", { x: MARGIN.left - 5, y: Number(y(at)) + 4, "text-anchor": "end" }, label));
    }
    if (spec.first < 0) {
      const width = -spec.first * this.step;
      svg.append(drawn("rect", { class: "front", x: MARGIN.left, y: MARGIN.top, width, height: inner }));
      svg.append(drawn("text", { x: MARGIN.left + 3, y: HEIGHT - 5 }, spec.front));
    }
    svg.append(drawn("text", { x: end, y: HEIGHT - 5, "text-anchor": "end" }, `word ${spec.last + 1}`));
    for (const { pairs, name } of spec.bars ?? []) {
      const path = finite(pairs).map(([column, value]) => `M${x(column)} ${y(0)}V${y(value)}`);
      const width = Math.max(0.8, this.step * 0.75).toFixed(2);
      svg.append(drawn("path", { class: `bar ${name}`, d: path.join(""), "stroke-width": width }));
    }
    for (const { pairs, name } of spec.lines ?? []) {
      const visible = finite(pairs).filter(([, value]) => spec.y(value) >= 0);
      const points = visible.map(([column, value]) => `${x(column)} ${y(value)}`);
      const path = points.length === 1 ? `M${points[0]}h2` : points.length ? `M${points.join("L")}` : "";
      svg.append(drawn("path", { class: `line ${name}`, d: path }));
    }
    this.finish(svg, HEIGHT - MARGIN.bottom);
  }

  // `bands` are lists of units with a label; each unit is a row of pairs. `largest` is the value of the full colour.
  drawHeat(spec) {
    this.start(spec);
    const units = spec.bands.flatMap((band) => band.units);
    const columns = spec.last - spec.first + 1;
    const canvas = make("canvas", { width: columns, height: units.length, className: "heat" });
    Object.assign(canvas, { role: "img", ariaLabel: this.label });
    canvas.style.cssText = `width: ${this.inner}px; height: ${HEAT_HEIGHT}px; margin-left: ${MARGIN.left}px`;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, units.length);
    units.forEach((pairs, unit) => pairs.forEach(([column, value]) => {
      const colour = value < 0 ? BLUE : ORANGE;
      const opacity = Math.round((255 * Math.abs(value)) / spec.largest);
      image.data.set([...colour, opacity], 4 * (unit * columns + column - spec.first));
    }));
    context.putImageData(image, 0, 0);
    const svg = drawn("svg", { width: this.width, height: HEAT_HEIGHT, class: "over", "aria-hidden": true });
    let top = 0;
    for (const { units: own, label } of spec.bands) {
      const height = (own.length / units.length) * HEAT_HEIGHT;
      const transform = `rotate(-90 12 ${top + height / 2})`;
      svg.append(drawn("text", { x: 12, y: top + height / 2, "text-anchor": "middle", transform }, label));
      top += height;
      svg.append(drawn("line", { class: "grid", x1: 0, x2: this.width, y1: top, y2: top }));
    }
    this.finish(svg, HEAT_HEIGHT, canvas);
  }
}
