// Draws every panel in the colours of the page, and again when they change.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const panels = [...document.querySelectorAll(".panel")].map((element) => {
  const specification = JSON.parse(element.querySelector("script").textContent);
  element.replaceChildren();
  return { element, specification };
});

function theme() {
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name).trim());
  const text = { labelColor: ink, titleColor: ink };
  return {
    axis: { ...text, domainColor: line, tickColor: line, gridColor: line },
    legend: text,
    title: { color: ink },
  };
}

function draw() {
  const options = { actions: false, renderer: "svg", config: theme(), tooltip: { theme: dark.matches ? "dark" : "light" } };
  return Promise.all(panels.map(({ element, specification }) => window.vegaEmbed(element, specification, options)));
}

dark.addEventListener("change", draw);
draw().then(() => document.documentElement.setAttribute("data-drawn", panels.length));
