// Draws the figures, and keeps what a reader chooses in the address: #place&architectures=lstm+vanilla&sequence-length=50
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const architectures = Object.fromEntries(JSON.parse(document.querySelector("main").dataset.architectures));
const names = Object.keys(architectures);
const architectureOf = (row) => row.architecture ?? String(row.run ?? "").split("-")[0];

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const isVisible = (element) => element.closest("[hidden], details:not([open])") === null;

// --- the state of the page: `away` has the architectures that are hidden, `options` the chosen option of each kind of choice

const away = new Set();
const options = new Map();

function readAddress() {
  const [place, ...settings] = location.hash.slice(1).split("&").map(decodeURIComponent);
  if (settings.length) {
    away.clear();
    options.clear();
  }
  for (const setting of settings) {
    const [key, value] = setting.split("=");
    if (key !== "architectures") options.set(key, value);
    else names.filter((name) => !value.split("+").includes(name)).forEach((name) => away.add(name));
  }
  return place;
}

function settingsInAddress() {
  const settings = [...options].map(([key, value]) => `&${key}=${encodeURIComponent(value)}`);
  if (away.size) settings.push(`&architectures=${names.filter((name) => !away.has(name)).join("+")}`);
  return settings.join("");
}

function updateAddress() {
  const settings = settingsInAddress();
  for (const link of document.querySelectorAll(".permalink, .contents a[href^='#']")) {
    link.setAttribute("href", `#${link.hash.slice(1).split("&")[0]}${settings}`);
  }
  history.replaceState(null, "", `#${location.hash.slice(1).split("&")[0]}${settings}`);
}

// --- figures

const datasets = new Map(Object.entries(JSON.parse(document.getElementById("datasets").textContent)).map(([name, columns]) => [name, asRows(columns)]));

function asRows(columns) {
  const entries = Object.entries(columns);
  return (entries[0]?.[1] ?? []).map((_, index) => Object.fromEntries(entries.map(([name, values]) => [name, values[index]])));
}

const figures = [...document.querySelectorAll("figure")].map((element) => {
  const panels = [...element.querySelectorAll(".panel")].map((place) => {
    const specification = JSON.parse(place.querySelector("script").textContent);
    specification.datasets = Object.fromEntries(specification.datasets.map((name) => [name, datasets.get(name)]));
    place.replaceChildren();
    return { place, specification };
  });
  const rows = panels.flatMap(({ specification }) => Object.values(specification.datasets).flat());
  const present = names.filter((name) => rows.some((row) => architectureOf(row) === name));
  return { element, panels, present, drawn: false };
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
    text: { color: ink },
  };
}

// A panel without the architectures that are hidden, or null if nothing of it is left.
function filtered(specification, present) {
  const hidden = present.filter((name) => away.has(name));
  if (!hidden.length) return specification;

  const datasets = {};
  let hadRows = false;
  let hasRows = false;
  for (const [name, rows] of Object.entries(specification.datasets)) {
    const left = rows.filter((row) => !hidden.includes(architectureOf(row)));
    datasets[name] = left.map((row) => Object.fromEntries(Object.entries(row).filter(([key]) => !hidden.includes(key))));
    hadRows ||= rows.some((row) => present.includes(architectureOf(row)));
    hasRows ||= left.some((row) => present.includes(architectureOf(row)));
  }
  return hadRows && !hasRows ? null : { ...specification, datasets };
}

function draw(figure) {
  figure.drawn = true;
  const settings = { actions: false, renderer: "svg", config: theme(), tooltip: { theme: dark.matches ? "dark" : "light" } };
  return Promise.all(
    figure.panels.map(({ place, specification }) => {
      const panel = filtered(specification, figure.present);
      place.hidden = panel === null;
      return panel && window.vegaEmbed(place, panel, settings);
    }),
  );
}

const drawVisible = () => Promise.all(figures.filter(({ element, drawn }) => !drawn && isVisible(element)).map(draw));

function drawAgain(isConcerned = () => true) {
  figures.filter(isConcerned).forEach((figure) => (figure.drawn = false));
  return drawVisible();
}

// Buttons above each figure with several architectures. They change all figures.
function showArchitectures() {
  for (const button of document.querySelectorAll("button[data-architecture]")) {
    button.ariaPressed = String(!away.has(button.dataset.architecture));
  }
  drawAgain(({ present }) => present.length > 1);
}

for (const { element, present } of figures.filter((figure) => figure.present.length > 1)) {
  const buttons = present.map((name) => {
    const sign = make("span", { ariaHidden: "true", textContent: `${architectures[name].sign} ` });
    sign.style.color = architectures[name].colour;
    const button = make("button", { type: "button", ariaPressed: "true" }, sign, name);
    button.dataset.architecture = name;
    button.addEventListener("click", () => {
      if (!away.delete(name)) away.add(name);
      showArchitectures();
      updateAddress();
    });
    return button;
  });
  element.querySelector(".panels").before(make("div", { className: "pick", role: "group", ariaLabel: "Architectures in all figures" }, ...buttons));
}

// --- choices: those of one kind, such as the sequence length, change together

const choices = [...document.querySelectorAll(".choice")].map((element) => {
  const places = [...element.children];
  const select = make("select", {}, ...places.map((place) => make("option", { textContent: place.dataset.option })));
  element.prepend(make("label", { className: "pick" }, `${element.dataset.label} `, select));
  select.addEventListener("change", () => {
    options.set(element.dataset.key, select.value);
    showOptions();
    updateAddress();
  });
  return { key: element.dataset.key, places, select };
});

function showOptions() {
  for (const { key, places, select } of choices) {
    const index = places.findIndex((place) => place.dataset.option === options.get(key));
    if (index < 0) continue;
    select.selectedIndex = index;
    places.forEach((place, number) => (place.hidden = number !== index));
  }
  return drawVisible();
}

// --- the numbers of a figure as a table and as CSV

const layers = (part) => [part, ...(part.layer ?? []).flatMap(layers)];

// Charts of many curves have one row of lists per curve: one row per point is easier to read.
function unpacked(row) {
  const lists = Object.keys(row).filter((column) => Array.isArray(row[column]));
  if (!lists.length) return [row];
  return row[lists[0]].map((_, place) => ({ ...row, ...Object.fromEntries(lists.map((column) => [column, row[column][place]])) }));
}

function tables({ panels }) {
  return panels.flatMap(({ specification }) => {
    const pointed = new Set(layers(specification).filter(({ name }) => name?.startsWith("pointed")).map(({ data }) => data.name));
    const longest = new Map();
    for (const [name, rows] of Object.entries(specification.datasets)) {
      const columns = Object.keys(rows[0] ?? {}).join();
      if (!pointed.has(name) && rows.length > (longest.get(columns)?.length ?? 1)) longest.set(columns, rows);
    }
    const title = specification.title?.text ?? specification.title ?? "";
    return [...longest.values()].map((rows) => ({ title: [title].flat().join(" "), columns: Object.keys(rows[0]), rows: rows.flatMap(unpacked) }));
  });
}

const quoted = (value) => (/[",\n]/.test(value ?? "") ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));

function asTable({ title, columns, rows }, name) {
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  const csv = lines.map((cells) => cells.map(quoted).join()).join("\n");
  const link = make("a", { download: `${name}.csv`, href: `data:text/csv;charset=utf-8,${encodeURIComponent(csv)}`, textContent: "CSV" });
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", textContent: column.replaceAll("_", " ") })));
  const body = rows.map((row) => make("tr", {}, ...columns.map((column) => make("td", { textContent: String(row[column] ?? "") }))));
  const table = make("table", {}, make("caption", {}, `${title} `, link), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { className: "wide", role: "region", tabIndex: 0, ariaLabel: `Data: ${title || name}` }, table);
}

for (const figure of figures) {
  const name = figure.element.id.replace("figure-", "");
  const details = make("details", { className: "data" }, make("summary", { textContent: "The numbers as a table" }));
  details.addEventListener("toggle", () => {
    if (details.children.length === 1) details.append(...tables(figure).map((table) => asTable(table, name)));
  });
  figure.element.querySelector("figcaption").append(details);
}

// --- tables: sorted by a click on a column, filtered by words

// The first number of a cell; a cell without one is sorted as text, behind all numbers.
function numberIn(text) {
  const match = text.replaceAll("−", "-").replaceAll(",", "").match(/-?\d+(\.\d+)?/);
  return match && /^[^\p{L}]*-?\d/u.test(text.replaceAll("−", "-")) ? Number(match[0]) : null;
}

function compared(one, other) {
  const [a, b] = [numberIn(one), numberIn(other)];
  if (a !== null && b !== null) return a - b;
  return (a === null) - (b === null) || one.localeCompare(other, "en");
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", textContent: head.textContent });
    button.addEventListener("click", () => {
      const direction = head.ariaSort === "ascending" ? "descending" : "ascending";
      const sign = direction === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => sign * compared(one.cells[column].textContent, other.cells[column].textContent));
      table.tBodies[0].append(...rows);
      heads.forEach((cell) => (cell.ariaSort = cell === head ? direction : "none"));
    });
    head.replaceChildren(button);
  });
}

for (const table of document.querySelectorAll("table[data-filterable]")) {
  const input = make("input", { type: "search", autocomplete: "off" });
  const count = make("span", { role: "status", className: "soft" });
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
  table.parentElement.before(make("label", { className: "pick" }, "Rows with the words ", input, count));
}

// --- places: open what folds a place away, then go there

function goTo(place) {
  const element = place && document.getElementById(place);
  for (let details = element?.closest("details"); details; details = details.parentElement.closest("details")) details.open = true;
  return drawVisible().then(() => element?.scrollIntoView());
}

for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", drawVisible);

addEventListener("hashchange", () => {
  const place = readAddress();
  showArchitectures();
  showOptions().then(() => goTo(place));
});

dark.addEventListener("change", () => drawAgain());

const links = new Map([...document.querySelectorAll(".contents a[href^='#']")].map((link) => [link.hash.slice(1), link]));
const headings = new IntersectionObserver(
  (entries) => {
    const entry = entries.find(({ isIntersecting }) => isIntersecting);
    if (!entry) return;
    for (const [place, link] of links) {
      if (place === entry.target.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  },
  { rootMargin: "0px 0px -70% 0px" },
);
for (const place of links.keys()) headings.observe(document.getElementById(place));

const place = readAddress();
if (options.size || away.size) updateAddress();
showArchitectures();
showOptions()
  .then(() => place && goTo(place))
  .then(() => document.documentElement.setAttribute("data-drawn", figures.filter(({ drawn }) => drawn).length));
