// The forward pass of a network, layer by layer, on one digit: what export.py describes, in plain JavaScript.
"use strict";

const network = (() => {
  /** A string of base64 as float32 numbers. */
  function numbers(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  const each = (f) => (x) => x.map(f);
  const sigmoid = (v) => 1 / (1 + Math.exp(-v));

  /** y_j = exp(x_j) / sum of exp(x_k), in rows of `length`. */
  function softmax({ length }) {
    return (x) => {
      const y = new Float64Array(x.length);
      for (let start = 0; start < x.length; start += length) {
        let largest = -Infinity, sum = 0;
        for (let k = start; k < start + length; k++) largest = Math.max(largest, x[k]);
        for (let k = start; k < start + length; k++) sum += y[k] = Math.exp(x[k] - largest);
        for (let k = start; k < start + length; k++) y[k] /= sum;
      }
      return y;
    };
  }

  /** y = x W + b, for each row of D numbers. */
  function affine({ W, b }) {
    W = numbers(W);
    b = numbers(b);
    const M = b.length, D = W.length / M;
    return (x) => {
      const y = new Float64Array((x.length / D) * M);
      for (let n = 0; n * D < x.length; n++) {
        y.set(b, n * M);
        for (let d = 0; d < D; d++) {
          const value = x[n * D + d];
          if (value) for (let m = 0; m < M; m++) y[n * M + m] += value * W[d * M + m];
        }
      }
      return y;
    };
  }

  /** y = scale (x - mean) + offset, one of each for every channel. */
  function channels({ mean, scale, offset }) {
    mean = numbers(mean);
    scale = numbers(scale);
    offset = numbers(offset);
    return (x) => x.map((value, i) => {
      const channel = Math.floor((i * scale.length) / x.length);
      return scale[channel] * (value - mean[channel]) + offset[channel];
    });
  }

  /**
   * Calls f(place in the image, place in the window) for all that a window sees of an image at output (p, q).
   * Of an axis are given: length, size, stride, dilation, before, outputs.
   */
  function look(rows, columns, p, q, f) {
    for (let i = 0; i < rows.size; i++) {
      const y = p * rows.stride + i * rows.dilation - rows.before;
      if (y < 0 || y >= rows.length) continue;
      for (let j = 0; j < columns.size; j++) {
        const x = q * columns.stride + j * columns.dilation - columns.before;
        if (x >= 0 && x < columns.length) f(y * columns.length + x, i * columns.size + j);
      }
    }
  }

  /** y[f, p, q] = b[f] + sum of W[f, c, i, j] x[c, ...] over the channels c of f's group and the window's i, j. */
  function convolution({ W, b, C, groups, rows, columns }) {
    W = numbers(W);
    b = numbers(b);
    const F = b.length, area = rows.length * columns.length, window = rows.size * columns.size;
    const outputs = rows.outputs * columns.outputs, own = C / groups;
    return (x) => {
      const y = new Float64Array(F * outputs);
      for (let p = 0; p < rows.outputs; p++)
        for (let q = 0; q < columns.outputs; q++) {
          const places = [];
          look(rows, columns, p, q, (at, tap) => places.push([at, tap]));
          for (let f = 0; f < F; f++) {
            const first = Math.floor((f * groups) / F) * own;
            let sum = b[f];
            for (let c = 0; c < own; c++)
              for (const [at, tap] of places) sum += W[(f * own + c) * window + tap] * x[(first + c) * area + at];
            y[f * outputs + p * columns.outputs + q] = sum;
          }
        }
      return y;
    };
  }

  /** The largest number that each window sees, or the mean: the sum times the window's share. */
  function pooling({ rows, columns, share }) {
    const area = rows.length * columns.length, outputs = rows.outputs * columns.outputs;
    const shares = share && numbers(share);
    return (x) => {
      const C = x.length / area, y = new Float64Array(C * outputs);
      for (let c = 0; c < C; c++)
        for (let p = 0; p < rows.outputs; p++)
          for (let q = 0; q < columns.outputs; q++) {
            const at = p * columns.outputs + q;
            let largest = -Infinity, sum = 0;
            look(rows, columns, p, q, (place) => {
              const value = x[c * area + place];
              largest = Math.max(largest, value);
              sum += value;
            });
            y[c * outputs + at] = shares ? sum * shares[at] : largest;
          }
      return y;
    };
  }

  const KINDS = {
    same: () => (x) => x,
    rescale: ({ scale, offset }) => each((v) => scale * v + offset),
    relu: () => each((v) => Math.max(v, 0)),
    leaky: ({ slope }) => each((v) => Math.max(v, slope * v)),
    sigmoid: () => each(sigmoid),
    tanh: () => each(Math.tanh),
    softmax, affine, channels, convolution, pooling,
  };

  /** A function from a digit, 784 gray values, to {outputs, layers: [{name, shape, values}]}. */
  return function network(layers) {
    const steps = layers.map((layer) => ({ ...layer, run: KINDS[layer.kind](layer) }));
    return (digit) => {
      const shown = [];
      let x = Float64Array.from(digit);
      for (const { run, name, shape } of steps) {
        x = run(x);
        if (name) shown.push({ name, shape, values: x });
      }
      return { outputs: Array.from(x), layers: shown };
    };
  };
})();
