// Draws every panel in the colours of the page, and again when they or what is picked change.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const architectures = new Map(JSON.parse(document.querySelector("main").dataset.architectures));
const architectureOf = (row) => row.architecture ?? String(row.run ?? "").split("-")[0];

function make(tag, given = {}, ...inside) {
  const element = Object.assign(document.createElement(tag), given);
  element.append(...inside);
  return element;
}

const figures = [...document.querySelectorAll("figure")].map((element) => {
  const panels = [...element.querySelectorAll(".panel")].map((place) => {
    const specification = JSON.parse(place.querySelector("script").textContent);
    place.replaceChildren();
    return { place, specification };
  });
  const rows = panels.flatMap(({ specification }) => Object.values(specification.datasets).flat());
  const known = [...architectures.keys()].filter((name) => rows.some((row) => architectureOf(row) === name));
  return { element, panels, known, picked: new Set(known), drawn: false };
});

function theme() {
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name).trim());
  const narrow = window.innerWidth < 480;
  const text = { labelColor: ink, titleColor: ink, titleFontSize: narrow ? 10.5 : 12.5 };
  return {
    axis: { ...text, domainColor: line, tickColor: line, gridColor: line },
    legend: { ...text, ...(narrow && { labelFontSize: 10.5 }) },
    title: { color: ink },
  };
}

// A panel's numbers of the architectures that are picked; null where nothing is left of what it had.
function picked(specification, { known, picked }) {
  const away = known.filter((name) => !picked.has(name));
  if (!away.length) return specification;
  const datasets = {};
  let had = false;
  let has = false;
  for (const [name, rows] of Object.entries(specification.datasets)) {
    const left = rows.filter((row) => !away.includes(architectureOf(row)));
    datasets[name] = left.map((row) => Object.fromEntries(Object.entries(row).filter(([key]) => !away.includes(key))));
    had ||= rows.some((row) => known.includes(architectureOf(row)));
    has ||= left.some((row) => known.includes(architectureOf(row)));
  }
  return had && !has ? null : { ...specification, datasets };
}

function draw(figure) {
  figure.drawn = true;
  const options = { actions: false, renderer: "svg", config: theme(), tooltip: { theme: dark.matches ? "dark" : "light" } };
  return Promise.all(
    figure.panels.map(({ place, specification }) => {
      const shown = picked(specification, figure);
      place.hidden = shown === null;
      return shown && window.vegaEmbed(place, shown, options);
    }),
  );
}

const shown = ({ element }) => element.closest("[hidden]") === null;
const drawShown = (again) => Promise.all(figures.filter((each) => shown(each) && (again || !each.drawn)).map(draw));

// One button an architecture, where a figure has several.
for (const figure of figures.filter(({ known }) => known.length > 1)) {
  const buttons = figure.known.map((name) => {
    const sign = make("span", { ariaHidden: "true", textContent: `${architectures.get(name).sign} ` });
    sign.style.color = architectures.get(name).colour;
    const button = make("button", { type: "button", ariaPressed: "true" }, sign, name);
    button.addEventListener("click", () => {
      const on = figure.picked.has(name);
      figure.picked[on ? "delete" : "add"](name);
      button.ariaPressed = String(!on);
      draw(figure);
    });
    return button;
  });
  const group = make("div", { className: "pick", role: "group", ariaLabel: "Architectures shown" }, ...buttons);
  figure.element.prepend(group);
}

// A list to choose from, where one of several figures or texts is shown.
for (const choice of document.querySelectorAll(".choice")) {
  const places = [...choice.children];
  const options = places.map((place) => make("option", { textContent: place.dataset.option, selected: !place.hidden }));
  const select = make("select", {}, ...options);
  select.addEventListener("change", () => {
    places.forEach((place, index) => (place.hidden = index !== select.selectedIndex));
    drawShown(false);
  });
  choice.prepend(make("label", { className: "pick" }, `${choice.dataset.label} `, select));
}

const layers = (part) => [part, ...(part.layer ?? []).flatMap(layers)];

// The numbers of a picture as a table and as CSV: of each panel the longest list of each form.
function tables({ panels }) {
  return panels.flatMap(({ specification }) => {
    const pointed = new Set(layers(specification).filter(({ name }) => name?.startsWith("pointed")).map(({ data }) => data.name));
    const longest = new Map();
    for (const [name, rows] of Object.entries(specification.datasets)) {
      const form = Object.keys(rows[0] ?? {}).join();
      if (!pointed.has(name) && rows.length > (longest.get(form)?.length ?? 1)) longest.set(form, rows);
    }
    const title = [specification.title ?? ""].flat().join(" ");
    return [...longest.values()].map((rows) => ({ title: title.text ?? title, columns: Object.keys(rows[0]), rows }));
  });
}

const quoted = (value) => (/[",\n]/.test(value ?? "") ? `"${value.replaceAll('"', '""')}"` : String(value ?? ""));

function asTable({ title, columns, rows }, name) {
  const csv = [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((cells) => cells.map(quoted).join()).join("\n");
  const link = make("a", { download: `${name}.csv`, href: `data:text/csv;charset=utf-8,${encodeURIComponent(csv)}`, textContent: "CSV" });
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", textContent: column.replaceAll("_", " ") })));
  const body = rows.map((row) => make("tr", {}, ...columns.map((column) => make("td", { textContent: String(row[column] ?? "") }))));
  const caption = make("caption", {}, `${title} `, link);
  const table = make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { className: "wide", role: "region", tabIndex: 0, ariaLabel: `Data: ${title || name}` }, table);
}

for (const figure of figures) {
  const details = make("details", { className: "data" }, make("summary", { textContent: "The numbers drawn, as a table" }));
  details.addEventListener("toggle", () => {
    const name = figure.element.id.replace("figure-", "");
    if (details.children.length === 1) details.append(...tables(figure).map((table) => asTable(table, name)));
  });
  figure.element.querySelector("figcaption").append(details);
}

function unfold() {
  const place = document.getElementById(location.hash.slice(1));
  for (let each = place?.closest("details"); each; each = each.parentElement.closest("details")) each.open = true;
  place?.scrollIntoView();
}

addEventListener("hashchange", unfold);
unfold();

dark.addEventListener("change", () => drawShown(true));
drawShown(false).then(() => document.documentElement.setAttribute("data-drawn", figures.filter(shown).length));
