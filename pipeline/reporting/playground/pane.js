// A pane: one network, the text as it reads it, and its charts.
class Pane {
  constructor(element, position) {
    this.element = element;
    this.choice = element.querySelector("select");
    this.gain = element.querySelector("input[type=range]");
    this.strip = element.querySelector(".strip");
    networks.forEach(({ name }, value) => this.choice.append(make("option", { value, textContent: name })));
    this.choice.value = Math.min(position, networks.length - 1);
    this.probability = this.chart("Probability that the text is positive");
    this.gradient = this.chart("Gradient of the verdict");
    this.contribution = this.chart("Contribution of each word");
    this.heat = this.chart("Hidden state");
    this.swap = this.chart("Another word in each place");
    this.choice.addEventListener("input", changed);
    this.gain.addEventListener("input", changed);
  }

  get network() { return networks[this.choice.value]; }
  get gainValue() { return this.network.cells.length ? Number(this.gain.value) : 1; }
  get verdict() { return sigmoid(this.reading.logit); }

  chart(title) {
    const chart = new Chart(title, (column) => setRead(column + 1));
    this.element.append(chart.element);
    return chart;
  }

  compute() {
    this.input = input(this.network, wordsRead);
    this.reading = this.input.isEmpty ? null : this.network.read(this.input.ids, this.gainValue);
  }

  pairs(values) {
    const first = this.input.start - this.input.front;
    return Array.from(values, (value, token) => [first + token, value]);
  }

  // From a column to the row of a table: the word and its entry in each list of texts.
  cells(...lists) {
    const { start, front, ids } = this.input;
    return (column) => {
      const token = column - start + front;
      return token in ids ? [nameOf(column), ...lists.map((list) => list[token])] : undefined;
    };
  }

  // The charts that take no time.
  draw(frame) {
    const isRecurrent = this.network.cells.length > 0;
    this.element.querySelector(".gain").textContent = isRecurrent ? this.gainValue.toFixed(2) : "(none here)";
    this.gain.disabled = !isRecurrent;
    this.gain.setAttribute("aria-valuetext", `${this.gainValue} times the trained weights`);
    this.element.classList.toggle("empty", !this.reading);
    const verdict = this.reading ? `${probabilityText(this.verdict)} positive` : "Nothing to read yet.";
    this.element.querySelector(".verdict").textContent = verdict;
    if (!this.reading) return;
    const contributions = this.reading.wordGradients.map((gradient, token) =>
      product(gradient, this.network.vector(this.input.ids[token])));
    this.drawGradient(frame);
    this.drawHeat(frame);
    this.drawStrip(contributions);
    if (find("measure").value === "input") {
      this.contribution.help.textContent =
        "Gradient times input: to first order, how far the word moves the logit of the whole text. Up is positive.";
      this.drawSigned(this.contribution, frame, contributions);
    }
  }

  // The gradient at each token as a share: a curve per direction, or one for the words.
  curves() {
    const { wordGradients, directions } = this.reading;
    if (find("target").value === "word") {
      const norms = wordGradients.map(norm);
      const largest = Math.max(...norms) || 1;
      return [{ name: "word", heading: "gradient", values: norms.map((value) => value / largest) }];
    }
    return directions.flatMap(({ name, readout, steps }) => {
      const reference = norm(name === "none" ? steps[0].gradient : readout) || 1;
      const suffix = name === "backward" ? ", backward half" : "";
      const curves = [
        { name, heading: "gradient", values: steps.map((step) => norm(step.gradient) / reference) },
        { name: `expected ${name}`, heading: "theory", values: steps.map((step) => step.expected) },
      ];
      const known = curves.filter(({ values }) => Number.isFinite(values[0]));
      return known.map((curve) => ({ ...curve, heading: curve.heading + suffix }));
    });
  }

  // Without the curves of theory.
  measured() {
    return this.curves().filter(({ heading }) => heading.startsWith("gradient"));
  }

  drawGradient(frame) {
    const isLog = find("scale").value === "log";
    const { lowest, highest, top } = frame.gradients;
    const height = (value) => (value > 0 ? (Math.log10(value) - lowest) / (highest - lowest) : 0);
    const powers = Array.from({ length: highest - lowest + 1 }, (_, index) => 10 ** (highest - index));
    const every = Math.ceil(powers.length / 6);
    const marks = isLog ? powers.filter((_, index) => index % every === 0) : [0, top / 2, top];
    const curves = this.curves();
    const ends = this.measured().map(({ heading, values }) =>
      `${heading}: ${percent(values[0])} at the first word, ${percent(values.at(-1))} at the last`);
    this.gradient.help.replaceChildren(...this.gradientHelp());
    this.gradient.draw({
      ...frame,
      lines: curves.map(({ name, values }) => ({ name, pairs: this.pairs(values) })),
      y: isLog ? height : (value) => value / top,
      ticks: marks.map((at) => ({ at, label: percent(at) })),
      headings: ["word", ...curves.map(({ heading }) => heading)],
      cells: this.cells(...curves.map(({ values }) => values.map(percent))),
      summary: `${ends.join(". ")}.`,
    });
  }

  gradientHelp() {
    const key = (name, text) => [make("span", { className: `key ${name}`, ariaHidden: "true" }), ` ${text} `];
    if (find("target").value === "word") {
      return ["How strongly the logit reacts to a small change of each word's vector, as a share of the strongest."];
    }
    if (!this.network.cells.length) return ["This network averages the words, so its gradient is the same at each."];
    const parts = ["How strongly the logit reacts to a change of the state after each word, relative to the last. "];
    if (this.network.cells.length > 1) {
      parts.push(...key("forward", "Forward half."));
      parts.push(...key("backward", "Backward half: a share of its state at the first word."));
    }
    if (this.network.architecture === "lstm") {
      return [...parts, ...key("expected", "Theory: the part that the forget gates alone let through.")];
    }
    return [...parts, ...key("expected", "Theory for a random direction: typical size of the weights times slopes.")];
  }

  // Bars of one value per token, in logits.
  drawSigned(chart, frame, values) {
    const pairs = this.pairs(values);
    const [column, extreme] = pairs.reduce((most, pair) => (Math.abs(pair[1]) > Math.abs(most[1]) ? pair : most));
    const largest = Math.abs(extreme) || 1;
    chart.draw({
      ...frame,
      bars: [
        { name: "high", pairs: pairs.filter(([, value]) => value > 0) },
        { name: "low", pairs: pairs.filter(([, value]) => value < 0) },
      ],
      y: (value) => (value / largest + 1) / 2,
      ticks: [largest, 0, -largest].map((at) => ({ at, label: signed(at) })),
      headings: ["word", "logits"],
      cells: this.cells(Array.from(values, signed)),
      summary: `The largest is ${signed(extreme)} at “${nameOf(column)}”.`,
    });
  }

  // Units are in the order of their weight in the logit.
  drawHeat(frame) {
    const headings = ["word"];
    const lists = [];
    let largest = 0;
    const bands = this.reading.directions.map(({ name, readout, states }) => {
      const order = [...readout.keys()].sort((one, other) => readout[other] - readout[one]);
      const units = order.map((unit) => {
        const values = states.map((state) => state[unit]);
        largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), largest);
        headings.push(name === "backward" ? `backward unit ${unit + 1}` : `unit ${unit + 1}`);
        lists.push(values);
        return this.pairs(values);
      });
      return { units, label: this.network.cells.length > 1 ? name : "units" };
    });
    const row = this.cells(...lists);
    const cells = (column) => row(column)?.map((cell, index) => (index ? cell.toFixed(2) : cell));
    this.heat.help.textContent =
      `One row per unit, one column per word. Blue is negative, orange is positive (up to ${largest.toFixed(2)}). ` +
      "High values in the rows at the top argue for positive, at the bottom for negative.";
    const summary = `Values from ${signed(-largest)} to ${signed(largest)}.`;
    this.heat.drawHeat({ ...frame, bands, largest: largest || 1, headings, cells, summary });
  }

  // The words, in the colour of their contribution.
  drawStrip(contributions) {
    const { strip } = this;
    if (this.stripWords !== words) {
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
      const colour = value < 0 ? "var(--low)" : "var(--high)";
      const strength = Math.round(70 * Math.abs(value));
      span.style.backgroundColor = `color-mix(in srgb, ${colour} ${strength}%, transparent)`;
      span.classList.toggle("unread", index >= wordsRead || index < this.input.start);
    });
    strip.scrollTop = strip.children[wordsRead - 1].offsetTop - strip.clientHeight / 2;
  }

  // The charts that take a moment. A generator: it may pause at every step.
  *drawSlowly(frame) {
    if (!this.reading) return;
    const { ids } = input(this.network, words.length);
    const key = JSON.stringify([this.network.name, this.gainValue, ids]);
    if (this.prefixKey !== key) {
      this.prefixes = yield* this.network.prefixLogits(ids, this.gainValue);
      this.prefixKey = key;
    }
    this.drawProbability(frame);
    const read = this.input.ids;
    if (find("measure").value === "change") {
      const before = [this.network.bias, ...this.prefixes];
      this.contribution.help.textContent = "The change of the logit when the network reads this word. Up is positive.";
      const changes = read.map((_, token) => this.prefixes[token] - before[token]);
      this.drawSigned(this.contribution, frame, changes);
    }
    const [word] = tokenise(find("swap").value);
    this.swap.element.hidden = !word;
    if (!word) return;
    this.swap.title.textContent = `“${word}” in the place of each word`;
    const warning = vocabulary.has(word) ? "" : " The vocabulary lacks this word.";
    this.swap.help.textContent = `The change of the logit when “${word}” replaces one word.${warning}`;
    const effects = yield* this.network.swapEffects(read, idOf(word), this.gainValue);
    this.drawSigned(this.swap, frame, effects);
  }

  drawProbability(frame) {
    const values = Array.from(this.prefixes, sigmoid);
    const pairs = this.pairs(values);
    this.probability.help.textContent = "If the text ended after this word. The line in the middle is one half.";
    this.probability.draw({
      ...frame,
      lines: [{ name: "ahead", pairs }, { name: "main", pairs: pairs.slice(0, this.input.ids.length) }],
      y: (value) => value,
      ticks: [0, 0.5, 1].map((at) => ({ at, label: percent(at) })),
      headings: ["word", "probability"],
      cells: this.cells(values.map(probabilityText)),
      summary: `${probabilityText(this.verdict)} after ${wordsRead} words.`,
    });
  }
}
