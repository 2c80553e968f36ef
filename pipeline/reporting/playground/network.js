// Trained networks: the words of a text, the forward pass, and the exact backward pass, all in 64-bit numbers.
// science/text/tokenizer.py, science/networks and science/gradients define the same; a browser test compares the two.
// Letters: T tokens, D embedding dimensions, H hidden units, G inputs of the units (H, or 4 H for an LSTM).
"use strict";

const PADDING = 0;
const UNKNOWN = 1;

// ---- words ----

const SPACE = "[\\t\\n\\f\\r ]";
const ATTRIBUTE = `${SPACE}+[0-9A-Za-z_:-]+${SPACE}*=${SPACE}*(?:"[^"]*"|'[^']*'|[^\\t\\n\\f\\r "'<>]+)`;
const TAG = new RegExp(`</?[a-z]+[0-9]?(?:${ATTRIBUTE})*${SPACE}*/?>`, "giu");
const ENTITY = /&#?[\p{L}\p{N}_]+;/gu;
const WITHOUT_CHARACTER = /^[\x01-\x08\x0b\x0e-\x1f\x7f\p{Noncharacter_Code_Point}]$/u;
const APOSTROPHES = /[’‘`´ʼ\x91\x92]/g;
const EMOJI_MARKS = /[\u20d0-\u20ff\ufe00-\ufe0f]/g;
const BETWEEN_WORDS = /[^\p{L}\p{M}\p{N}]{2,}|[^\p{L}\p{M}\p{N}']/gu;

function tokenise(text) {
  return text.replace(TAG, " ").split(/[\t-\r ]+/).flatMap((piece) => {
    const plain = piece.replace(ENTITY, resolved).toLowerCase().normalize("NFC");
    const apostrophes = plain.replace(APOSTROPHES, "'").replace(EMOJI_MARKS, " ");
    const spaced = apostrophes.replace(BETWEEN_WORDS, " ").replace(/^[ ']+|[ ']+$/g, "");
    return spaced ? spaced.split(" ") : [];
  });
}

function resolved(entity) {
  const element = document.createElement("p");
  element.innerHTML = entity.toLowerCase(); // the pattern admits no tag
  const character = element.textContent;
  return entity[1] === "#" && WITHOUT_CHARACTER.test(character) ? "" : character;
}

// ---- numbers ----

function decoded(base64, isHalf) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = isHalf ? 2 : 4;
  return Float64Array.from({ length: bytes.length / size }, (_, index) =>
    isHalf ? half(view.getUint16(2 * index, true)) : view.getFloat32(4 * index, true));
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const slice = (array, row, width) => array.subarray(row * width, (row + 1) * width);
const norm = (vector) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
const product = (left, right) => left.reduce((sum, value, index) => sum + value * right[index], 0);

// Adds scale (row M) to `sums`; the matrix M has as many columns as `sums`.
function addProduct(sums, row, matrix, scale = 1) {
  const columns = sums.length;
  for (let i = 0, at = 0; i < row.length; i++) {
    const factor = row[i] * scale;
    for (let j = 0; j < columns; j++) sums[j] += factor * matrix[at++];
  }
}

// Returns scale (M column), a product with the transposed matrix.
function transposed(matrix, column, rows, scale = 1) {
  const result = new Float64Array(rows);
  for (let i = 0, at = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < column.length; j++) sum += matrix[at++] * column[j];
    result[i] = sum * scale;
  }
  return result;
}

function largestSingularValue(matrix, size) {
  let vector = new Float64Array(size).fill(1);
  let value = 0;
  for (let round = 0; round < 60; round++) {
    const image = new Float64Array(size);
    addProduct(image, vector, matrix);
    vector = transposed(matrix, image, size);
    const length = norm(vector) || 1;
    vector = vector.map((entry) => entry / length);
    value = Math.sqrt(length);
  }
  return value;
}

// ---- cells: one direction of a recurrent layer ----

class TanhCell {
  constructor(name, [kernel, recurrent, bias], readout) {
    Object.assign(this, { name, kernel, recurrent, bias, readout });
    this.units = readout.length;
    this.width = this.units; // numbers per state
    this.typicalScale = norm(recurrent) / Math.sqrt(this.units);
    this.largestScale = this.units === bias.length ? largestSingularValue(recurrent, this.units) : NaN;
  }

  // The part of each unit's input that does not depend on the state: x W + b.
  drive(x) {
    const sums = this.bias.slice();
    addProduct(sums, x, this.kernel);
    return sums;
  }

  step(drive, state, gain) {
    const sums = drive.slice();
    addProduct(sums, state, this.recurrent, gain);
    for (let j = 0; j < sums.length; j++) sums[j] = Math.tanh(sums[j]);
    return sums;
  }

  states(drives, gain) {
    let state = new Float64Array(this.width);
    return drives.map((drive) => (state = this.step(drive, state, gain)));
  }

  logit(state) {
    return product(this.readout, state);
  }

  // dz/dh and dz/d(input of the units) at each step, and what theory expects of |dz/dh|, relative to the last step.
  backward(drives, states, gain) {
    const steps = states.map(() => null);
    let gradient = this.readout;
    let expected = 1;
    let bound = 1;
    for (let t = states.length - 1; t >= 0; t--) {
      const slopes = states[t].map((value) => 1 - value * value);
      const delta = gradient.map((value, index) => value * slopes[index]);
      steps[t] = { gradient, delta, expected, bound };
      expected *= gain * this.typicalScale * norm(slopes) / Math.sqrt(this.units);
      bound *= gain * this.largestScale * Math.max(...slopes);
      gradient = transposed(this.recurrent, delta, this.units, gain);
    }
    return steps;
  }
}

// A state is h and c, one after the other. The gates are in Keras' order: i, f, g, o.
class LSTMCell extends TanhCell {
  constructor(name, weights, readout) {
    super(name, weights, readout);
    this.width = 2 * this.units;
  }

  gates(drive, state, gain) {
    const sums = drive.slice();
    addProduct(sums, state.subarray(0, this.units), this.recurrent, gain);
    const isCandidate = (index) => index >= 2 * this.units && index < 3 * this.units;
    for (let j = 0; j < sums.length; j++) sums[j] = isCandidate(j) ? Math.tanh(sums[j]) : sigmoid(sums[j]);
    return [0, 1, 2, 3].map((gate) => slice(sums, gate, this.units));
  }

  step(drive, state, gain) {
    const [i, f, g, o] = this.gates(drive, state, gain);
    const next = new Float64Array(this.width);
    for (let j = 0; j < this.units; j++) {
      const c = f[j] * state[this.units + j] + i[j] * g[j];
      next[this.units + j] = c;
      next[j] = o[j] * Math.tanh(c);
    }
    return next;
  }

  // `expected` is the gradient that the cell state alone carries back, through the forget gates.
  backward(drives, states, gain) {
    const units = this.units;
    const steps = states.map(() => null);
    let gradient = this.readout;
    let carried = new Float64Array(units);
    let belt = null;
    let beltAtEnd = 1;
    for (let t = states.length - 1; t >= 0; t--) {
      const before = t ? states[t - 1] : new Float64Array(this.width);
      const [i, f, g, o] = this.gates(drives[t], before, gain);
      const delta = new Float64Array(4 * units);
      const next = new Float64Array(units);
      belt ??= gradient.map((value, j) => value * o[j] * (1 - Math.tanh(states[t][units + j]) ** 2));
      if (t === states.length - 1) beltAtEnd = norm(belt) || 1;
      for (let j = 0; j < units; j++) {
        const tanh = Math.tanh(states[t][units + j]);
        const ofCell = gradient[j] * o[j] * (1 - tanh * tanh) + carried[j];
        delta[j] = ofCell * g[j] * i[j] * (1 - i[j]);
        delta[units + j] = ofCell * before[units + j] * f[j] * (1 - f[j]);
        delta[2 * units + j] = ofCell * i[j] * (1 - g[j] * g[j]);
        delta[3 * units + j] = gradient[j] * tanh * o[j] * (1 - o[j]);
        next[j] = ofCell * f[j];
      }
      steps[t] = { gradient, delta, expected: norm(belt) / beltAtEnd, bound: NaN };
      belt = belt.map((value, j) => value * f[j]);
      carried = next;
      gradient = transposed(this.recurrent, delta, units, gain);
    }
    return steps;
  }
}

// ---- networks ----

class Network {
  constructor(card) {
    Object.assign(this, card);
    const [embedding, ...weights] = card.weights.map((array, index) => decoded(array, index === 0));
    const [bias] = weights.pop();
    const readout = weights.pop();
    this.embedding = embedding;
    this.dimensions = weights[0].length / weights[card.architecture === "feedforward" ? 1 : 2].length;
    this.bias = bias;
    if (card.architecture === "feedforward") {
      [this.kernel, this.hiddenBias] = weights;
      this.readout = readout;
      this.cells = [];
    } else {
      const Cell = card.architecture === "lstm" ? LSTMCell : TanhCell;
      const directions = card.architecture === "bidirectional" ? ["forward", "backward"] : ["forward"];
      const units = readout.length / directions.length;
      this.cells = directions.map((name, index) =>
        new Cell(name, weights.slice(3 * index, 3 * index + 3), slice(readout, index, units)));
    }
  }

  vector(id) {
    return slice(this.embedding, id, this.dimensions);
  }

  // The ids in the order of the cell, each as the drive of the cell's units.
  drives(cell, ids) {
    const drives = ids.map((id) => cell.drive(this.vector(id)));
    return cell.name === "backward" ? drives.reverse() : drives;
  }

  hidden(sum, count) {
    const sums = this.hiddenBias.slice();
    addProduct(sums, sum, this.kernel, 1 / count);
    return sums.map((value) => Math.max(value, 0));
  }

  // Everything about one text: its logit, and for each token dz/dx and the step of each cell. `ids` is not empty.
  read(ids, gain = 1) {
    if (!this.cells.length) return this.readMean(ids);
    let logit = this.bias;
    const wordGradients = ids.map(() => new Float64Array(this.dimensions));
    const directions = this.cells.map((cell) => {
      const drives = this.drives(cell, ids);
      const states = cell.states(drives, gain);
      const steps = cell.backward(drives, states, gain);
      logit += cell.logit(states.at(-1));
      if (cell.name === "backward") [states, steps].forEach((list) => list.reverse());
      steps.forEach((step, t) => {
        const ofWord = transposed(cell.kernel, step.delta, this.dimensions);
        wordGradients[t] = wordGradients[t].map((value, d) => value + ofWord[d]);
      });
      return { name: cell.name, readout: cell.readout, states: states.map((state) => state.subarray(0, cell.units)), steps };
    });
    return { logit, wordGradients, directions };
  }

  readMean(ids) {
    const sum = new Float64Array(this.dimensions);
    const states = ids.map((id, index) => {
      this.vector(id).forEach((value, d) => (sum[d] += value));
      return this.hidden(sum, index + 1);
    });
    const active = this.readout.map((value, unit) => (states.at(-1)[unit] > 0 ? value : 0));
    const ofWord = transposed(this.kernel, active, this.dimensions, 1 / ids.length);
    const steps = ids.map(() => ({ gradient: ofWord, expected: NaN, bound: NaN }));
    const logit = this.bias + product(this.readout, states.at(-1));
    return { logit, wordGradients: ids.map(() => ofWord), directions: [{ name: "none", readout: this.readout, states, steps }] };
  }

  // The logit if the text ended after each token. A generator, because two directions take a moment: every value is a
  // pause, and the last value is the list.
  *prefixLogits(ids, gain = 1) {
    const logits = new Float64Array(ids.length).fill(this.bias);
    if (!this.cells.length) this.readMean(ids).directions[0].states.forEach((state, t) => (logits[t] += product(this.readout, state)));
    for (const cell of this.cells) {
      const drives = this.drives(cell, ids);
      if (cell.name === "forward") {
        cell.states(drives, gain).forEach((state, t) => (logits[t] += cell.logit(state)));
        continue;
      }
      const states = ids.map(() => new Float64Array(cell.width)); // of each prefix
      for (let t = ids.length - 1; t >= 0; t--) {
        for (let end = t; end < ids.length; end++) states[end] = cell.step(drives[ids.length - 1 - t], states[end], gain);
        yield null;
      }
      states.forEach((state, end) => (logits[end] += cell.logit(state)));
    }
    yield logits;
  }

  // The change of the logit when `word` takes the place of each token, one at a time. A generator like prefixLogits.
  *swapEffects(ids, word, gain = 1) {
    const effects = new Float64Array(ids.length);
    if (!this.cells.length) {
      const { logit } = this.readMean(ids);
      const sum = new Float64Array(this.dimensions);
      ids.forEach((id) => this.vector(id).forEach((value, d) => (sum[d] += value)));
      ids.forEach((id, t) => {
        const swapped = sum.map((value, d) => value + this.vector(word)[d] - this.vector(id)[d]);
        effects[t] = this.bias + product(this.readout, this.hidden(swapped, ids.length)) - logit;
      });
    }
    for (const cell of this.cells) {
      const drives = this.drives(cell, ids);
      const states = cell.states(drives, gain);
      const ofWord = cell.drive(this.vector(word));
      for (let t = 0; t < ids.length; t++) {
        let state = cell.step(ofWord, t ? states[t - 1] : new Float64Array(cell.width), gain);
        for (let later = t + 1; later < ids.length; later++) state = cell.step(drives[later], state, gain);
        effects[cell.name === "backward" ? ids.length - 1 - t : t] += cell.logit(state) - cell.logit(states.at(-1));
        yield null;
      }
    }
    yield effects;
  }
}
