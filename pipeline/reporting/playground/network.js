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

// A float16 has 5 bits of exponent. In the place of the 8 bits of a float32, they are too small by a factor of 2^112.
function decoded(base64, isHalf) {
  const { buffer } = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  if (!isHalf) return Float64Array.from(new Float32Array(buffer));
  const bits = Uint32Array.from(new Uint16Array(buffer), (half) => ((half & 0x8000) << 16) | ((half & 0x7fff) << 13));
  return Float64Array.from(new Float32Array(bits.buffer), (value) => value * 2 ** 112);
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

// ---- cells: one direction of a recurrent layer ----

class TanhCell {
  constructor(name, [kernel, recurrent, bias], readout) {
    Object.assign(this, { name, kernel, recurrent, bias, readout });
    this.units = readout.length;
    this.typicalScale = norm(recurrent) / Math.sqrt(this.units);
  }

  get initial() { return new Float64Array(this.units); }

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
    let state = this.initial;
    return drives.map((drive) => (state = this.step(drive, state, gain)));
  }

  // dz/dh and dz/d(input of the units) at each step. `expected` is |dz/dh| relative to the last step by mean-field
  // theory: a gradient in a random direction shrinks by the typical size of the weights times the typical slope.
  backward(states, gain) {
    const steps = states.map(() => null);
    let gradient = this.readout;
    let expected = 1;
    for (let t = states.length - 1; t >= 0; t--) {
      const slopes = states[t].map((value) => 1 - value * value);
      const delta = gradient.map((value, index) => value * slopes[index]);
      steps[t] = { gradient, delta, expected };
      expected *= gain * this.typicalScale * norm(slopes) / Math.sqrt(this.units);
      gradient = transposed(this.recurrent, delta, this.units, gain);
    }
    return steps;
  }
}

// A state is h, c and the gates, one after the other. The gates are in Keras' order: i, f, g, o.
class LSTMCell extends TanhCell {
  get initial() { return new Float64Array(6 * this.units); }

  step(drive, state, gain) {
    const units = this.units;
    const next = this.initial;
    const gates = next.subarray(2 * units);
    gates.set(drive);
    addProduct(gates, state.subarray(0, units), this.recurrent, gain);
    for (let j = 0; j < units; j++) {
      const i = (gates[j] = sigmoid(gates[j]));
      const f = (gates[units + j] = sigmoid(gates[units + j]));
      const g = (gates[2 * units + j] = Math.tanh(gates[2 * units + j]));
      const o = (gates[3 * units + j] = sigmoid(gates[3 * units + j]));
      next[units + j] = f * state[units + j] + i * g;
      next[j] = o * Math.tanh(next[units + j]);
    }
    return next;
  }

  // `expected` is the gradient that the cell state alone carries back, through the forget gates.
  backward(states, gain) {
    const units = this.units;
    const steps = states.map(() => null);
    let gradient = this.readout;
    let carried = new Float64Array(units);
    let belt = null;
    for (let t = states.length - 1; t >= 0; t--) {
      const [, c, i, f, g, o] = [0, 1, 2, 3, 4, 5].map((part) => slice(states[t], part, units));
      const previous = slice(states[t - 1] ?? this.initial, 1, units);
      const delta = new Float64Array(4 * units);
      const ofCell = new Float64Array(units);
      for (let j = 0; j < units; j++) {
        const tanh = Math.tanh(c[j]);
        ofCell[j] = gradient[j] * o[j] * (1 - tanh * tanh) + carried[j];
        delta[j] = ofCell[j] * g[j] * i[j] * (1 - i[j]);
        delta[units + j] = ofCell[j] * previous[j] * f[j] * (1 - f[j]);
        delta[2 * units + j] = ofCell[j] * i[j] * (1 - g[j] * g[j]);
        delta[3 * units + j] = gradient[j] * tanh * o[j] * (1 - o[j]);
      }
      belt ??= { vector: ofCell, atEnd: norm(ofCell) || 1 };
      steps[t] = { gradient, delta, expected: norm(belt.vector) / belt.atEnd };
      belt.vector = belt.vector.map((value, j) => value * f[j]);
      carried = ofCell.map((value, j) => value * f[j]);
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
    const [kernel, hiddenBias] = weights; // of a feed-forward network
    Object.assign(this, { embedding, bias, readout, kernel, hiddenBias });
    const directions = { feedforward: [], bidirectional: ["forward", "backward"] }[card.architecture] ?? ["forward"];
    const Cell = card.architecture === "lstm" ? LSTMCell : TanhCell;
    const units = readout.length / directions.length;
    this.cells = directions.map((name, index) =>
      new Cell(name, weights.slice(3 * index, 3 * index + 3), slice(readout, index, units)));
  }

  vector(id) { return slice(this.embedding, id, this.dimensions); }

  // The ids in the order of the cell, each as the drive of the cell's units.
  drives(cell, ids) {
    const drives = ids.map((id) => cell.drive(this.vector(id)));
    return cell.name === "backward" ? drives.reverse() : drives;
  }

  // Everything about one text: its logit, and for each token dz/dx and the step of each cell. `ids` is not empty.
  read(ids, gain = 1) {
    if (!this.cells.length) return this.readMean(ids);
    let logit = this.bias;
    const wordGradients = ids.map(() => new Float64Array(this.dimensions));
    const directions = this.cells.map((cell) => {
      const drives = this.drives(cell, ids);
      const states = cell.states(drives, gain);
      const steps = cell.backward(states, gain);
      logit += product(cell.readout, states.at(-1));
      if (cell.name === "backward") [states, steps].forEach((list) => list.reverse());
      steps.forEach((step, t) => {
        const ofWord = transposed(cell.kernel, step.delta, this.dimensions);
        wordGradients[t] = wordGradients[t].map((value, d) => value + ofWord[d]);
      });
      const { name, readout, units } = cell;
      return { name, readout, steps, states: states.map((state) => state.subarray(0, units)) };
    });
    return { logit, wordGradients, directions };
  }

  // The same for a network that averages the words. Its states are the hidden layer for the words up to each one.
  readMean(ids) {
    let sum = new Float64Array(this.dimensions);
    const states = ids.map((id, index) => {
      sum = this.vector(id).map((value, d) => value + sum[d]);
      const hidden = this.hiddenBias.slice();
      addProduct(hidden, sum, this.kernel, 1 / (index + 1));
      return hidden.map((value) => Math.max(value, 0));
    });
    const active = this.readout.map((value, unit) => (states.at(-1)[unit] > 0 ? value : 0));
    const ofWord = transposed(this.kernel, active, this.dimensions, 1 / ids.length);
    const steps = ids.map(() => ({ gradient: ofWord, expected: NaN }));
    const logit = this.bias + product(this.readout, states.at(-1));
    const directions = [{ name: "none", readout: this.readout, states, steps }];
    return { logit, wordGradients: ids.map(() => ofWord), directions };
  }

  // Returns the logit if the text ended after each token. A generator: it pauses, because two directions take a moment.
  *prefixLogits(ids, gain = 1) {
    const logits = new Float64Array(ids.length).fill(this.bias);
    if (!this.cells.length) {
      const [{ states }] = this.readMean(ids).directions;
      states.forEach((state, t) => (logits[t] += product(this.readout, state)));
    }
    for (const cell of this.cells) {
      const drives = this.drives(cell, ids);
      let states = drives.map(() => cell.initial); // backward: of each text that ends at this token
      if (cell.name === "forward") states = cell.states(drives, gain);
      else for (let t = ids.length - 1; t >= 0; t--) {
        const drive = drives[ids.length - 1 - t];
        for (let end = t; end < ids.length; end++) states[end] = cell.step(drive, states[end], gain);
        yield;
      }
      states.forEach((state, end) => (logits[end] += product(cell.readout, state)));
    }
    return logits;
  }

  // Returns the change of the logit when `word` takes the place of each token, one at a time. A generator that pauses.
  *swapEffects(ids, word, gain = 1) {
    const effects = new Float64Array(ids.length);
    if (!this.cells.length) {
      const { logit } = this.readMean(ids);
      ids.forEach((_, t) => (effects[t] = this.readMean(ids.with(t, word)).logit - logit));
    }
    for (const cell of this.cells) {
      const drives = this.drives(cell, ids);
      const states = cell.states(drives, gain);
      const ofWord = cell.drive(this.vector(word));
      for (let t = 0; t < ids.length; t++) {
        let state = cell.step(ofWord, states[t - 1] ?? cell.initial, gain);
        for (let later = t + 1; later < ids.length; later++) state = cell.step(drives[later], state, gain);
        const change = state.subarray(0, cell.units).map((value, unit) => value - states.at(-1)[unit]);
        effects[cell.name === "backward" ? ids.length - 1 - t : t] += product(cell.readout, change);
        yield;
      }
    }
    return effects;
  }
}
