// The text, the controls, and what they change.
const MOST_WORDS = 1000; // of a text that is read whole
const SLICE = 25; // milliseconds of slow work at once
const PLAY = 140; // milliseconds per word

const find = (name) => document.getElementById(name);
const data = JSON.parse(find("data").textContent);
const vocabulary = new Map(data.vocabulary.split(" ").map((word, id) => [word, id]));
const networks = data.networks.map((card) => new Network(card));
const idOf = (word) => vocabulary.get(word) ?? UNKNOWN;
const paddingTokens = () => Math.min(Math.max(Math.floor(Number(find("padding").value)), 0), MOST_WORDS);
let words = [];
let wordsInFront = [];
let wordsRead = 0;
let example = null;
let player = null;
let version = 0;

// What a network reads of the first `count` words: `ids`, of which the first `front` are not of the text, and `start`,
// the first word that it reads. In the study, it reads the last words of a text and, before a short one, padding.
function input(network, count) {
  const mode = find("front").value;
  const limit = mode === "study" ? network.sequence_length : MOST_WORDS;
  const start = Math.max(0, words.length - limit);
  const paddingOfMode = { study: limit - words.length + start, padding: paddingTokens() };
  const padding = network.skips_padding ? 0 : (paddingOfMode[mode] ?? 0);
  const front = mode === "text" ? wordsInFront.map(idOf) : Array(padding).fill(PADDING);
  const own = words.slice(start, count).map(idOf);
  return { ids: [...front, ...own], front: front.length, start, isEmpty: !own.length };
}

function nameOf(column) {
  if (column >= 0) return words[column];
  return find("front").value === "text" ? wordsInFront[wordsInFront.length + column] : "padding";
}

// ---- drawing ----

const panes = [...document.querySelectorAll(".pane")].map((element, position) => new Pane(element, position));

function changed() {
  const started = performance.now();
  version += 1;
  wordsRead = Math.max(Math.min(wordsRead, words.length), firstRead());
  panes.forEach((pane) => pane.compute());
  describe();
  const inputs = panes.map((pane) => pane.input);
  const readings = panes.filter((pane) => pane.reading);
  const frame = {
    first: Math.min(...inputs.map(({ start, front }) => start - front)),
    last: Math.max(words.length - 1, 0),
    cursor: wordsRead - 1,
    front: find("front").value === "text" ? "text in front" : "padding",
    gradients: gradientRange(readings.flatMap((pane) => pane.measured().flatMap(({ values }) => values))),
  };
  panes.forEach((pane) => pane.draw(frame));
  document.documentElement.dataset.milliseconds = (performance.now() - started).toFixed(1);
  work(panes.map((pane) => pane.drawSlowly(frame)), version);
}

// The number of the first word that any of the networks reads.
function firstRead() {
  const starts = panes.map((pane) => input(pane.network, words.length).start);
  return words.length && Math.min(...starts) + 1;
}

// Both networks share the axis of their gradients: the powers of ten at its ends, and the largest value.
function gradientRange(values) {
  const positive = values.filter((value) => value > 0);
  const top = Math.max(1, ...positive);
  const lowest = Math.max(-12, Math.min(-3, Math.floor(Math.log10(Math.min(1, ...positive)))));
  return { lowest, highest: Math.min(6, Math.ceil(Math.log10(top))), top };
}

// Runs generators a slice at a time until a newer change arrives.
function work(tasks, ofVersion) {
  if (ofVersion !== version) return;
  const end = performance.now() + SLICE;
  while (tasks.length && performance.now() < end) if (tasks[0].next().done) tasks.shift();
  if (tasks.length) return void setTimeout(work, 0, tasks, ofVersion);
  document.documentElement.dataset.drawn = ofVersion;
  if (!player) announce();
}

// The texts next to the controls.
function describe() {
  const word = wordsRead ? `“${words[wordsRead - 1]}”` : "";
  const slider = find("read");
  Object.assign(slider, { min: firstRead(), max: words.length, value: wordsRead, disabled: !words.length });
  slider.setAttribute("aria-valuetext", words.length ? `${wordsRead} of ${words.length}, ${word}` : "no words");
  find("count").textContent = `${wordsRead} of ${words.length}${word && `: ${word}`}`;
  find("padding").closest("label").hidden = find("front").value !== "padding";
  find("before").closest("label").hidden = find("front").value !== "text";
  const notes = [];
  const unknown = [...new Set(words.filter((each) => !vocabulary.has(each)))];
  if (unknown.length) {
    const list = unknown.slice(0, 12).join(", ") + (unknown.length > 12 ? ", …" : "");
    notes.push(`The networks do not know these words and read them all alike (dotted line): ${list}.`);
  }
  const skipped = Math.min(...panes.map((pane) => pane.input.start));
  if (skipped) notes.push(`The networks read only the last ${words.length - skipped} of ${words.length} words.`);
  const isShort = words.length && words.length < data.usual_words;
  if (isShort) notes.push(`95 % of the training texts have ${data.usual_words} words or more, so trust this verdict less.`);
  if (unknown.length && words.every((each) => !vocabulary.has(each))) {
    notes.push("No word is in the vocabulary, so the verdicts mean nothing.");
  }
  find("notes").textContent = notes.join(" ");
}

function announce() {
  const readings = panes.filter((pane) => pane.reading);
  const verdicts = readings.map((pane) => `${pane.network.name} ${probabilityText(pane.verdict)} positive`);
  const status = `After word ${wordsRead} of ${words.length}: ${verdicts.join(", ")}.`;
  find("status").textContent = words.length ? status : "Type a text first.";
  for (const pane of panes) Object.values(pane).forEach((part) => part instanceof Chart && part.fillTable());
  find("answer").textContent = example ? readings.map((pane) => answer(example.kind, pane)).join("\n") : "";
}

// ---- the answers of the prepared examples, computed from the charts ----

function answer(kind, pane) {
  const { network, verdict } = pane;
  const front = pane.input.ids.slice(0, pane.input.front);
  const own = pane.input.ids.slice(pane.input.front);
  const probability = (ids) => probabilityText(sigmoid(network.read(ids, pane.gainValue).logit));
  const [forward, backward] = pane.measured().map(({ values }) => values);
  const sentences = {
    forgetting: () => `${probabilityText(verdict)} with the first text in front, ${probability(own)} without it.`,
    order: () => `${probabilityText(verdict)}, and ${probability([...front, ...own.reverse()])} in reverse order.`,
    vanishing: () => `at the first word, ${percent(forward[0])} of the gradient at the last word is left.`,
    lstm: () => `the gradient ${falling(forward)}.`,
    both: () => `${percent(forward[0])} of the gradient is left at the first word${
      backward ? ` in the forward half, and ${percent(backward.at(-1))} at the last word in the backward half` : ""}.`,
  };
  return `${network.name}: ${sentences[kind]()}`;
}

function falling(values) {
  const last = values.findLastIndex((value) => value < 0.1);
  return last < 0 ? "stays above 10 %" : `falls below 10 % at ${values.length - 1 - last} words before the end`;
}

// ---- controls ----

function setText(text) {
  find("text").value = text;
  words = tokenise(text);
  setRead(words.length);
}

function setRead(count) {
  wordsRead = count;
  changed();
}

function show(chosen) {
  stop();
  example = chosen;
  find("question").textContent = chosen?.question ?? "";
  for (const button of find("examples").children) {
    button.setAttribute("aria-pressed", button.textContent === chosen?.title);
  }
  if (!chosen) return;
  const { front, swap, target } = chosen;
  const values = { front: front ? "text" : "study", before: front, swap, target, scale: "log" };
  for (const [name, value] of Object.entries(values)) find(name).value = value;
  wordsInFront = tokenise(chosen.front);
  panes.forEach((pane, position) => {
    pane.choice.value = networks.findIndex((network) => network.name === chosen.networks[position]);
    pane.gain.value = 1;
  });
  setText(chosen.text);
}

function stop() {
  clearInterval(player);
  player = null;
  find("play").textContent = "Play";
}

function play() {
  if (player) return void (stop(), announce());
  if (wordsRead >= words.length) setRead(0);
  find("play").textContent = "Pause";
  find("status").textContent = "Reading …"; // the last verdicts would be wrong now
  player = setInterval(() => {
    if (wordsRead + 1 >= words.length) stop();
    setRead(wordsRead + 1);
  }, PLAY);
}

const listen = (name, type, reaction) => find(name).addEventListener(type, (event) => reaction(event.target));

for (const chosen of data.examples) {
  const button = make("button", { type: "button", textContent: chosen.title });
  button.addEventListener("click", () => show(chosen));
  find("examples").append(button);
}
for (const { title, text } of data.texts) find("pick").append(make("option", { value: text, textContent: title }));
for (const name of ["front", "padding", "target", "scale", "measure", "swap"]) listen(name, "input", changed);
listen("text", "input", ({ value }) => (show(null), setText(value)));
listen("pick", "input", (choice) => {
  show(null);
  find("front").value = "study";
  setText(choice.value);
  choice.value = "";
});
listen("padding", "change", (field) => (field.value = paddingTokens()));
listen("before", "input", ({ value }) => {
  wordsInFront = tokenise(value).slice(-MOST_WORDS);
  changed();
});
listen("reverse", "click", () => setText([...words].reverse().join(" ")));
listen("back", "click", () => (stop(), setRead(wordsRead - 1)));
listen("forward", "click", () => (stop(), setRead(wordsRead + 1)));
listen("read", "input", ({ value }) => (stop(), setRead(Number(value))));
listen("play", "click", play);
addEventListener("resize", changed);

if (data.examples.length) show(data.examples[0]);
else setText(data.texts[0].text);
