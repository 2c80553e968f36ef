// The controls of the page, and what they change.
"use strict";

const MOST_WORDS = 1000; // of a text that is read whole
const SLICE = 25; // milliseconds of slow work at once
const PLAY = 140; // milliseconds per word

const find = (name) => document.getElementById(name);
const data = JSON.parse(find("data").textContent);
const vocabulary = new Map(data.vocabulary.split(" ").map((word, id) => [word, id]));
const networks = data.networks.map((card) => new Network(card));
const idOf = (word) => vocabulary.get(word) ?? UNKNOWN;
const idsOf = (words) => words.map(idOf);
const isStudy = () => find("front").value === "study";
let words = [];
let before = [];
let wordsRead = 0;
let example = null;
let player = null;
let version = 0;

// ---- what a network reads ----

// The ids that a network reads of the first `count` words, the number of ids in front, and the first word that it reads.
function input(network, count) {
  const limit = isStudy() ? network.sequence_length : MOST_WORDS;
  const start = Math.max(0, words.length - limit);
  const padding = { study: limit - words.length + start, padding: Number(find("padding").value) }[find("front").value] ?? 0;
  let front = find("front").value === "text" ? idsOf(before) : [];
  if (!network.skips_padding && padding > 0) front = Array(Math.min(padding, MOST_WORDS)).fill(PADDING);
  const own = idsOf(words.slice(start, count));
  return { ids: [...front, ...own], front: front.length, start, isEmpty: !own.length };
}

function nameOf(column) {
  if (column >= 0) return words[column];
  return find("front").value === "text" ? before[before.length + column] : "padding";
}

// ---- a pane: one network and its charts ----

class Pane {
  constructor(element, position) {
    this.element = element;
    this.choice = element.querySelector("select");
    this.gain = element.querySelector("input[type=range]");
    networks.forEach((network, index) => this.choice.append(make("option", { value: index, textContent: network.name })));
    this.choice.value = Math.min(position, networks.length - 1);
    const pick = (column) => setRead(column + 1);
    const charts = {
      probability: ["Probability that the text is positive", "If the text ended after this word. The line in the middle is one half."],
      gradient: ["Gradient of the verdict", ""],
      contribution: ["Contribution of each word", ""],
      heat: ["Hidden state", "One row per unit, one column per word. Blue is negative, orange is positive."],
      swap: ["Another word in each place", ""],
    };
    for (const [name, texts] of Object.entries(charts)) {
      this[name] = new Chart(...texts, pick);
      element.append(this[name].element);
    }
    this.choice.addEventListener("input", () => changed());
    this.gain.addEventListener("input", () => changed());
  }

  get network() {
    return networks[this.choice.value];
  }

  get gainValue() {
    return this.network.cells.length ? Number(this.gain.value) : 1;
  }

  get verdict() {
    return this.reading ? sigmoid(this.reading.logit) : NaN;
  }

  compute() {
    this.input = input(this.network, wordsRead);
    this.reading = this.input.isEmpty ? null : this.network.read(this.input.ids, this.gainValue);
  }

  column(token) {
    return token - this.input.front + this.input.start;
  }

  // Columns with values; tokens are those that the network has read.
  pairs(values) {
    return Array.from(values, (value, token) => [this.column(token), value]);
  }

  rows(...lists) {
    return new Map(Array.from(this.input.ids, (_, token) => {
      const column = this.column(token);
      return [column, [nameOf(column), ...lists.map((list) => list[token])]];
    }));
  }

  draw(frame) {
    this.element.querySelector(".gain").textContent = this.network.cells.length ? `× ${Number(this.gain.value).toFixed(2)}` : "no recurrence";
    this.gain.disabled = !this.network.cells.length;
    this.gain.setAttribute("aria-valuetext", `${this.gain.value} times the trained weights`);
    this.element.dataset.architecture = this.network.architecture;
    this.element.classList.toggle("empty", !this.reading);
    this.element.querySelector(".verdict").textContent = this.reading
      ? `${probabilityText(this.verdict)} positive`
      : "Nothing to read yet.";
    if (!this.reading) return;
    this.drawGradient(frame);
    this.drawHeat(frame);
    const contributions = this.contributions();
    this.drawStrip(contributions);
    if (find("measure").value === "input") this.drawContribution(frame, contributions);
  }

  contributions() {
    return this.reading.wordGradients.map((gradient, token) => product(gradient, this.network.vector(this.input.ids[token])));
  }

  // The gradient at each token: one list per direction, as shares.
  shares() {
    if (find("target").value === "word") {
      const norms = this.reading.wordGradients.map(norm);
      const largest = Math.max(...norms) || 1;
      return [{ name: "word", values: norms.map((value) => value / largest) }];
    }
    return this.reading.directions.map(({ name, readout, steps }) => {
      const reference = name === "none" ? norm(steps[0].gradient) : norm(readout);
      return { name, values: steps.map((step) => norm(step.gradient) / (reference || 1)), steps };
    });
  }

  drawGradient(frame) {
    const ofWord = find("target").value === "word";
    const isLog = find("scale").value === "log";
    const curves = this.shares();
    const lines = curves.map(({ name, values }) => ({ name, values: this.pairs(values) }));
    const headings = ["word", ...curves.map(({ name }) => ({ forward: "gradient", backward: "gradient, backward half", none: "gradient", word: "gradient at the word" })[name])];
    const lists = curves.map(({ values }) => values.map(percent));
    for (const { name, steps } of curves) {
      const hasTheory = steps && Number.isFinite(steps[0].expected);
      for (const [theory, heading] of hasTheory ? [["expected", "theory"], ["bound", "upper bound"]] : []) {
        const values = steps.map((step) => step[theory]);
        if (!Number.isFinite(values.at(-1))) continue;
        lines.push({ name: `${theory} ${name}`, values: this.pairs(values) });
        headings.push(name === "backward" ? `${heading}, backward half` : heading);
        lists.push(values.map(percent));
      }
    }
    const { lowest, highest, top } = frame.gradients;
    const y = isLog
      ? (value) => (value > 0 ? (Math.log10(value) - lowest) / (highest - lowest) : 0)
      : (value) => value / top;
    const powers = Array.from({ length: highest - lowest + 1 }, (_, index) => 10 ** (lowest + index));
    const every = Math.ceil(powers.length / 6);
    const ticks = isLog ? powers.filter((_, index) => (powers.length - 1 - index) % every === 0) : [0, top / 2, top];

    const ends = curves.map(({ name, values }) => `${name === "backward" ? "Backward half: " : ""}${percent(values[0])} at the first word, ${percent(values.at(-1))} at the last`);
    this.gradient.element.querySelector(".help").replaceChildren(...legend(this.network, ofWord));
    this.gradient.draw({ ...frame, lines, y, ticks: ticks.map((at) => ({ at, label: percent(at) })), headings, rows: this.rows(...lists), summary: `${ends.join(". ")}.` });
  }

  drawContribution(frame, values) {
    const isInput = find("measure").value === "input";
    this.contribution.element.querySelector(".help").textContent = isInput
      ? "Gradient times input: to first order, how far the word moves the logit of the whole text. Up is positive."
      : "The change of the logit when the network reads this word. Up is positive.";
    const shown = this.pairs(values).slice(0, this.input.ids.length);
    drawSigned(this.contribution, frame, shown, this.rows(Array.from(values, signed)), "contribution (logits)");
  }

  drawHeat(frame) {
    const { directions } = this.reading;
    const orders = directions.map(({ readout }) => [...readout.keys()].sort((one, other) => readout[other] - readout[one]));
    const bands = directions.map(({ states }, index) => orders[index].map((unit) => this.pairs(states.map((state) => state[unit]))));
    const largest = bands.flat(2).reduce((most, [, value]) => Math.max(most, Math.abs(value)), 0) || 1;
    const units = orders.flatMap((order, index) => order.map((unit) => ({ index, unit })));
    const labels = directions.map(({ name }) => ({ forward: directions.length > 1 ? "forward" : "units", backward: "backward", none: "units" })[name]);
    const rows = { values: () => this.rows(...units.map(({ index, unit }) => directions[index].states.map((state) => state[unit].toFixed(2)))).values(), get: (column) => [nameOf(column)] };
    const headings = ["word", ...units.map(({ index, unit }) => `${directions[index].name === "backward" ? "backward " : ""}unit ${unit + 1}`)];
    this.heat.drawHeat({ ...frame, bands, labels, largest, rows, headings, summary: `Values from ${(-largest).toFixed(2)} to ${largest.toFixed(2)}; the units at the top argue for positive, those at the bottom for negative.` });
  }

  drawStrip(contributions) {
    const strip = this.element.querySelector(".strip");
    if (strip.children.length !== words.length || this.stripWords !== words) {
      this.stripWords = words;
      strip.replaceChildren(...words.flatMap((word, index) => {
        const span = make("span", { textContent: word, className: vocabulary.has(word) ? "" : "unknown" });
        span.addEventListener("click", () => setRead(index + 1));
        return [span, " "];
      }));
    }
    const ofWords = contributions.slice(this.input.front);
    const largest = Math.max(...ofWords.map(Math.abs)) || 1;
    [...strip.children].forEach((span, index) => {
      const value = (ofWords[index - this.input.start] ?? 0) / largest;
      span.style.backgroundColor = `color-mix(in srgb, var(${value < 0 ? "--low" : "--high"}) ${Math.round(70 * Math.abs(value))}%, transparent)`;
      span.classList.toggle("unread", index >= wordsRead || index < this.input.start);
    });
    strip.scrollTop = strip.children[wordsRead - 1].offsetTop - strip.clientHeight / 2;
  }

  // The charts that take a moment, as generators. Each step may pause.
  *slow(frame) {
    if (!this.reading) return;
    const whole = input(this.network, words.length);
    const key = JSON.stringify([this.network.name, this.gainValue, whole.ids]);
    if (this.prefixKey !== key) {
      this.prefixes = yield* finished(this.network.prefixLogits(whole.ids, this.gainValue));
      this.prefixKey = key;
    }
    const values = Array.from(this.prefixes, sigmoid);
    const pairs = this.pairs(values);
    const rows = this.rows(values.map((value) => probabilityText(value)));
    const ticks = [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]].map(([at, label]) => ({ at, label }));
    const readPairs = pairs.slice(0, this.input.ids.length);
    const summary = `${probabilityText(this.verdict)} after ${wordsRead} words.`;
    const lines = [{ name: "ahead", values: pairs }, { name: "main", values: readPairs }];
    this.probability.draw({ ...frame, lines, y: (value) => value, ticks, headings: ["word", "probability"], rows, summary });
    if (find("measure").value === "change") {
      const changes = this.prefixes.map((logit, token) => logit - (token ? this.prefixes[token - 1] : this.network.bias));
      this.drawContribution(frame, changes.slice(0, this.input.ids.length));
    }

    const [word] = tokenise(find("swap").value);
    this.swap.element.hidden = !word;
    if (!word) return;
    this.swap.title.textContent = `“${word}” in the place of each word`;
    this.swap.element.querySelector(".help").textContent =
      `The change of the logit when “${word}” replaces one word.${vocabulary.has(word) ? "" : " The vocabulary lacks this word."}`;
    const effects = yield* finished(this.network.swapEffects(this.input.ids, idOf(word), this.gainValue));
    this.effects = effects;
    drawSigned(this.swap, frame, this.pairs(effects), this.rows(Array.from(effects, signed)), "change (logits)");
  }
}

function* finished(generator) {
  for (const value of generator) {
    if (value) return value;
    yield;
  }
}

function drawSigned(chart, frame, pairs, rows, heading) {
  const largest = Math.max(...pairs.map(([, value]) => Math.abs(value) || 0)) || 1;
  const bars = [
    { name: "high", values: pairs.filter(([, value]) => value > 0) },
    { name: "low", values: pairs.filter(([, value]) => value < 0) },
  ];
  const [column, value] = pairs.reduce((most, pair) => (Math.abs(pair[1]) > Math.abs(most[1]) ? pair : most));
  const ticks = [largest, 0, -largest].map((at) => ({ at, label: signed(at) }));
  const summary = `The largest is ${signed(value)} at “${nameOf(column)}”.`;
  chart.draw({ ...frame, bars, y: (value) => (value / largest + 1) / 2, ticks, headings: ["word", heading], rows, summary });
}

function legend(network, ofWord) {
  const key = (name, text) => [make("span", { className: `key ${name}`, ariaHidden: "true" }), ` ${text} `];
  if (ofWord) return ["How strongly the logit reacts to a small change of each word's vector, as a share of the strongest."];
  if (!network.cells.length) return ["This network has no hidden state over time. Its gradient is the same at every word."];
  const parts = ["How strongly the logit reacts to a small change of the state after each word, as a share of the last state. "];
  if (network.cells.length > 1) parts.push(...key("forward", "forward half."), ...key("backward", "backward half, as a share of its state at the first word."));
  if (network.architecture === "lstm") parts.push(...key("expected", "the part that the forget gates alone let through."));
  else parts.push(...key("expected", "theory for a random direction: the weights' typical size times the slopes."), ...key("bound", "the upper bound."));
  return parts;
}

// ---- drawing everything ----

// Both networks share the axis of their gradients: the powers of ten at its ends, and the largest value.
function gradientRange(values) {
  const positive = values.filter((value) => value > 0);
  const top = Math.max(1, ...positive);
  const lowest = Math.max(-12, Math.min(-3, Math.floor(Math.log10(Math.min(1, ...positive)))));
  return { lowest, highest: Math.min(6, Math.ceil(Math.log10(top))), top };
}

const panes = [...document.querySelectorAll(".pane")].map((element, position) => new Pane(element, position));

function changed() {
  const started = performance.now();
  version += 1;
  wordsRead = Math.max(Math.min(wordsRead, words.length), firstRead());
  const slider = find("read");
  Object.assign(slider, { min: firstRead(), max: words.length, value: wordsRead, disabled: !words.length });
  slider.setAttribute("aria-valuetext", words.length ? `${wordsRead} of ${words.length}, ${words[wordsRead - 1]}` : "no words");
  find("count").textContent = `${wordsRead} of ${words.length}${wordsRead ? `: “${words[wordsRead - 1]}”` : ""}`;
  document.body.classList.toggle("empty", !words.length);
  find("padding").closest("label").hidden = find("front").value !== "padding";
  find("before").closest("label").hidden = find("front").value !== "text";
  describeText();

  panes.forEach((pane) => pane.compute());
  const inputs = panes.map((pane) => pane.input);
  const front = Math.max(...inputs.map((each) => each.front - each.start));
  const frame = { first: Math.min(...inputs.map((each) => each.start - each.front)), last: Math.max(words.length - 1, 0), cursor: wordsRead - 1, front: front > 0 && find("front").value === "text" ? "text in front" : "padding" };
  frame.gradients = gradientRange(panes.filter((pane) => pane.reading).flatMap((pane) => pane.shares().flatMap(({ values }) => values)));
  panes.forEach((pane) => pane.draw(frame));
  document.documentElement.dataset.milliseconds = (performance.now() - started).toFixed(1);
  work(panes.map((pane) => pane.slow(frame)), version);
}

// The number of the first word that any of the networks reads.
function firstRead() {
  const starts = panes.map((pane) => input(pane.network, words.length).start);
  return words.length && Math.min(...starts) + 1;
}

// Runs generators a slice at a time until a newer change arrives.
function work(tasks, ofVersion) {
  if (ofVersion !== version) return;
  const end = performance.now() + SLICE;
  while (tasks.length && performance.now() < end) if (tasks[0].next().done) tasks.shift();
  if (tasks.length) setTimeout(work, 0, tasks, ofVersion);
  else {
    document.documentElement.dataset.drawn = ofVersion;
    if (!player) announce();
  }
}

function announce() {
  find("status").textContent = words.length
    ? `After ${wordsRead} of ${words.length} words: ${panes.map((pane) => `${pane.network.name} ${pane.reading ? `${probabilityText(pane.verdict)} positive` : "has not read a word"}`).join(", ")}.`
    : "Type a text first.";
  find("answer").textContent = example ? panes.filter((pane) => pane.reading).map((pane) => ANSWERS[example.kind](pane)).join(" ") : "";
}

function describeText() {
  const unknown = [...new Set(words.filter((word) => !vocabulary.has(word)))];
  const parts = [];
  if (unknown.length) parts.push(`${unknown.length === 1 ? "One word is" : `${unknown.length} words are`} not in the vocabulary (dotted line), so the networks cannot tell them apart: ${unknown.slice(0, 12).join(", ")}${unknown.length > 12 ? ", …" : ""}.`);
  const limit = isStudy() ? Math.max(...panes.map((pane) => pane.network.sequence_length)) : MOST_WORDS;
  if (words.length > limit) parts.push(`The networks read only the last ${limit} of ${words.length} words.`);
  if (words.length && unknown.length && words.every((word) => !vocabulary.has(word))) parts.push("No word is known, so the verdicts mean nothing.");
  find("notes").textContent = parts.join(" ");
}

function setRead(count) {
  wordsRead = count;
  changed();
}

function setText(text) {
  find("text").value = text;
  words = tokenise(text);
  wordsRead = words.length;
}

// ---- the answers of the prepared examples, computed from what is shown ----

const firstOf = (curve) => percent(curve.values[0]);
const probabilityAlone = (pane, ids) => sigmoid(pane.network.read(ids, pane.gainValue).logit);

function lastAbove(values, share) {
  const position = values.findLastIndex((value) => value < share);
  return position < 0 ? `never falls below ${percent(share)} here` : `falls below ${percent(share)} ${values.length - 1 - position} words before the end`;
}

const ANSWERS = {
  vanishing: (pane) => `${pane.network.name}: the gradient at the first state is ${firstOf(pane.shares().at(0))} of the gradient at the last.`,
  lstm: (pane) => `${pane.network.name}: the gradient ${lastAbove(pane.shares().at(0).values, 0.1)}.`,
  forgetting: (pane) => {
    const alone = probabilityAlone(pane, pane.input.ids.slice(pane.input.front));
    return `${pane.network.name}: ${probabilityText(pane.verdict)} with the first text in front, ${probabilityText(alone)} without it.`;
  },
  both: (pane) => {
    const [forward, backward] = pane.shares();
    if (!backward) return `${pane.network.name}: ${firstOf(forward)} of the gradient is left at the first word.`;
    return `${pane.network.name}: the forward half has ${firstOf(forward)} left at the first word, the backward half ${percent(backward.values.at(-1))} at the last.`;
  },
  order: (pane) => {
    const own = pane.input.ids.slice(pane.input.front).reverse();
    const reversed = probabilityAlone(pane, [...pane.input.ids.slice(0, pane.input.front), ...own]);
    return `${pane.network.name}: ${probabilityText(pane.verdict)}, and ${probabilityText(reversed)} with the words in reverse order.`;
  },
};

function show(chosen) {
  stop();
  example = chosen;
  find("front").value = chosen.front ? "text" : "study";
  find("before").value = chosen.front;
  before = tokenise(chosen.front);
  find("swap").value = chosen.swap;
  find("target").value = "state";
  find("scale").value = "log";
  panes.forEach((pane, position) => {
    pane.choice.value = networks.findIndex((network) => network.name === chosen.networks[position]);
    pane.gain.value = 1;
  });
  document.querySelectorAll("#examples button").forEach((button) => button.setAttribute("aria-pressed", button.textContent === chosen.title));
  find("question").textContent = chosen.question;
  setText(chosen.text);
  changed();
}

// ---- controls ----

function own() {
  example = null;
  find("question").textContent = "";
  document.querySelectorAll("#examples button").forEach((button) => button.setAttribute("aria-pressed", "false"));
}

function stop() {
  clearInterval(player);
  player = null;
  find("play").textContent = "Play";
}

function play() {
  if (player) {
    stop();
    announce();
    return;
  }
  if (wordsRead >= words.length) wordsRead = 0;
  find("play").textContent = "Pause";
  player = setInterval(() => {
    if (wordsRead + 1 >= words.length) stop();
    setRead(Math.min(wordsRead + 1, words.length));
  }, PLAY);
}

data.examples.forEach((chosen) => {
  const button = make("button", { type: "button", textContent: chosen.title });
  button.addEventListener("click", () => show(chosen));
  find("examples").append(button);
});
data.texts.forEach(({ title, text }) => find("pick").append(make("option", { value: text, textContent: title })));
find("pick").addEventListener("input", (event) => {
  if (!event.target.value) return;
  own();
  find("front").value = "study";
  setText(event.target.value);
  event.target.value = "";
  changed();
});
find("text").addEventListener("input", () => {
  stop();
  own();
  setText(find("text").value);
  changed();
});
find("before").addEventListener("input", () => {
  before = tokenise(find("before").value).slice(-MOST_WORDS);
  changed();
});
find("reverse").addEventListener("click", () => {
  const text = [...words].reverse().join(" ");
  setText(text);
  changed();
});
["front", "padding", "target", "scale", "measure", "swap"].forEach((name) => find(name).addEventListener("input", changed));
find("read").addEventListener("input", (event) => {
  stop();
  setRead(Number(event.target.value));
});
find("play").addEventListener("click", play);
find("back").addEventListener("click", () => (stop(), setRead(wordsRead - 1)));
find("forward").addEventListener("click", () => (stop(), setRead(wordsRead + 1)));
addEventListener("resize", changed);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
data.examples.length ? show(data.examples[0]) : (setText(data.texts[0]?.text ?? ""), changed());
