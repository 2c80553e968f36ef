// Charts of one value per word, each with a sentence for screen readers and a table of its numbers.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
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

const probabilityText = (value) => (value > 0.999 ? "over 99.9 %" : value < 0.001 ? "under 0.1 %" : `${(100 * value).toFixed(1)} %`);
const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;

class Chart {
  // `onPick` gets the column of a click. `explanation` says how to read the chart.
  constructor(title, explanation, onPick) {
    this.title = make("h4", { textContent: title });
    this.picture = make("div", { className: "picture" });
    this.pointed = make("p", { className: "pointed", ariaHidden: "true" });
    this.table = make("div", { className: "numbers", tabIndex: 0, role: "region", ariaLabel: `Numbers: ${title}` });
    this.details = make("details", {}, make("summary", { textContent: "The numbers as a table" }), this.table);
    this.details.addEventListener("toggle", () => this.fillTable());
    const help = make("p", { className: "help", textContent: explanation });
    this.element = make("figure", {}, make("figcaption", {}, this.title, help), this.picture, this.pointed, this.details);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => (this.pointed.textContent = ""));
    this.picture.addEventListener("click", (event) => onPick(this.columnAt(event)));
  }

  columnAt(event) {
    const box = this.picture.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
    const { first, last } = this.spec;
    return Math.min(last, Math.max(first, first + Math.floor(share * (last - first + 1))));
  }

  point(event) {
    const row = this.spec?.rows.get(this.columnAt(event));
    if (row) this.pointed.textContent = this.spec.headings.map((heading, index) => `${heading}: ${row[index]}`).join(", ");
  }

  // `rows` maps each column to its cells in the table, below `headings`.
  fillTable() {
    if (!this.details.open || !this.spec) return;
    const head = make("tr", {}, ...this.spec.headings.map((heading) => make("th", { scope: "col", textContent: heading })));
    const body = [...this.spec.rows.values()].map((row) => make("tr", {}, ...row.map((cell, index) =>
      make(index ? "td" : "th", index ? { textContent: cell } : { scope: "row", textContent: cell }))));
    this.table.replaceChildren(make("table", {}, make("caption", { textContent: this.title.textContent }), make("thead", {}, head), make("tbody", {}, ...body)));
  }

  frame(spec) {
    this.spec = spec;
    const width = Math.max(this.picture.clientWidth, 240);
    const inner = width - MARGIN.left - MARGIN.right;
    const columns = spec.last - spec.first + 1;
    this.x = (column) => MARGIN.left + ((column - spec.first + 0.5) / columns) * inner;
    this.step = inner / columns;
    return width;
  }

  // `y` maps a value to a height from 0 to 1. `lines` have `values` (pairs of column and value) and a class; so has `bars`.
  draw(spec) {
    const width = this.frame(spec);
    const inner = HEIGHT - MARGIN.top - MARGIN.bottom;
    const y = (value) => MARGIN.top + (1 - Math.min(1.02, Math.max(-0.02, spec.y(value)))) * inner;
    const svg = drawn("svg", { width, height: HEIGHT, role: "img", "aria-label": `${this.title.textContent}. ${spec.summary}` });

    for (const { at, label } of spec.ticks) {
      svg.append(drawn("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(at), y2: y(at) }));
      svg.append(drawn("text", { x: MARGIN.left - 5, y: y(at) + 4, "text-anchor": "end" }, label));
    }
    if (spec.first < 0) {
      svg.append(drawn("rect", { class: "front", x: MARGIN.left, y: MARGIN.top, width: -spec.first * this.step, height: inner }));
      svg.append(drawn("text", { x: MARGIN.left + 3, y: HEIGHT - 5 }, spec.front));
    }
    svg.append(drawn("text", { x: width - MARGIN.right, y: HEIGHT - 5, "text-anchor": "end" }, `word ${spec.last + 1}`));
    for (const { values, name } of spec.bars ?? []) {
      const path = values.filter(([, value]) => Number.isFinite(value)).map(([column, value]) => `M${this.x(column).toFixed(1)} ${y(0).toFixed(1)}V${y(value).toFixed(1)}`);
      svg.append(drawn("path", { class: `bar ${name}`, d: path.join(""), "stroke-width": Math.max(0.8, this.step * 0.75).toFixed(2) }));
    }
    for (const { values, name } of spec.lines ?? []) {
      const path = values.filter(([, value]) => Number.isFinite(value)).map(([column, value]) => `${this.x(column).toFixed(1)} ${y(value).toFixed(1)}`);
      if (path.length) svg.append(drawn("path", { class: `line ${name}`, d: `M${path.join("L")}${path.length === 1 ? "h1" : ""}` }));
    }
    this.addCursor(svg, HEIGHT - MARGIN.bottom);
    this.picture.replaceChildren(svg);
    this.fillTable();
  }

  addCursor(svg, bottom) {
    const x = this.x(this.spec.cursor) + this.step / 2;
    svg.append(drawn("line", { class: "cursor", x1: x, x2: x, y1: 0, y2: bottom }));
  }

  // One row per unit and one column per word. `bands` are lists of rows, each a list of pairs of column and value.
  drawHeat(spec) {
    const width = this.frame(spec);
    const rows = spec.bands.flat();
    const columns = spec.last - spec.first + 1;
    const height = Math.max(120, Math.min(260, 2 * rows.length));
    const canvas = make("canvas", { width: columns, height: rows.length, className: "heat", role: "img", ariaLabel: `${this.title.textContent}. ${spec.summary}` });
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows.length);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    rows.forEach((row, unit) => row.forEach(([column, value]) => {
      const colour = heatColour(value / spec.largest, dark);
      image.data.set([...colour, 255], 4 * (unit * columns + column - spec.first));
    }));
    context.putImageData(image, 0, 0);
    canvas.style.cssText = `width: ${width - MARGIN.left - MARGIN.right}px; height: ${height}px; margin-left: ${MARGIN.left}px`;
    const svg = drawn("svg", { width, height, class: "over", "aria-hidden": "true" });
    let above = 0;
    for (const [index, band] of spec.bands.entries()) {
      const middle = ((above + band.length / 2) / rows.length) * height;
      above += band.length;
      const label = drawn("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, spec.labels[index]);
      svg.append(label, drawn("line", { class: "grid", x1: 0, x2: width, y1: (above / rows.length) * height, y2: (above / rows.length) * height }));
    }
    this.addCursor(svg, height);
    this.picture.replaceChildren(canvas, svg);
    this.fillTable();
  }
}

// From blue (-1) over the paper's colour (0) to orange (1).
function heatColour(share, dark) {
  const paper = dark ? [24, 28, 33] : [250, 250, 250];
  const end = share < 0 ? (dark ? [86, 170, 240] : [0, 84, 150]) : (dark ? [245, 150, 60] : [205, 88, 0]);
  const strength = Math.min(1, Math.abs(share) || 0);
  return paper.map((value, index) => Math.round(value + (end[index] - value) * strength));
}
