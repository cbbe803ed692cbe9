// A picture made into what MNIST has, as docs/digitise.md says, step by step: digitise.py in JavaScript.
// Whole numbers below 2^53 alone, so it gives the same bytes.
"use strict";

const digitise = (() => {
  const SIDE = 28, BOX = 20, FAINTEST = 32, CUT = 64, FINE = 65536;

  /** a / b rounded, halves up; exact. */
  const divided = (a, b) => Math.floor((2 * a + b) / (2 * b));

  /** The median of the first and last rows and columns; of the two in the middle the smaller. */
  function groundOf({ width, height, pixels }) {
    const counts = new Array(256).fill(0);
    for (let x = 0; x < width; x++) {
      counts[pixels[x]]++;
      counts[pixels[(height - 1) * width + x]]++;
    }
    for (let y = 0; y < height; y++) {
      counts[pixels[y * width]]++;
      counts[pixels[(y + 1) * width - 1]]++;
    }
    let value = 0;
    for (let seen = counts[0]; seen < width + height; seen += counts[value]) value++;
    return value;
  }

  /** For each gray value how much ink it is, 0 to 255; null for a blank picture. */
  function inkOf(image) {
    const ground = groundOf(image);
    let least = 255, largest = 0;
    for (const value of image.pixels) {
      least = Math.min(least, value);
      largest = Math.max(largest, value);
    }
    const lighter = largest - ground, darker = ground - least, most = Math.max(lighter, darker);
    if (most < FAINTEST) return null;
    return Array.from({ length: 256 }, (_, value) => {
      const away = Math.max(lighter >= darker ? value - ground : ground - value, 0);
      const ink = divided(255 * Math.min(away, most), most);
      return ink < CUT ? 0 : ink;
    });
  }

  /** Rows of the smallest rectangle with all the ink in it. */
  function boxOf({ width, height, pixels }, ink) {
    let top = height, bottom = 0, left = width, right = 0;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (ink[pixels[y * width + x]]) {
          top = Math.min(top, y);
          bottom = Math.max(bottom, y);
          left = Math.min(left, x);
          right = Math.max(right, x);
        }
    const rows = [];
    for (let y = top; y <= bottom; y++)
      rows.push(Array.from(pixels.subarray(y * width + left, y * width + right + 1), (value) => ink[value]));
    return rows;
  }

  /** A function that scales lines of `length` numbers to `outputs`, `fine` steps to each. */
  function scaling(length, outputs, fine) {
    const reach = 2 * Math.max(length, outputs);
    const parts = [];
    for (let i = 0; i < outputs; i++) {
      const part = { first: 0, weights: [], sum: 0 };
      for (let j = 0; j < length; j++) {
        const weight = reach - Math.abs(outputs * (2 * j + 1) - length * (2 * i + 1));
        if (weight <= 0) continue;
        if (!part.weights.length) part.first = j;
        part.weights.push(weight);
        part.sum += weight;
      }
      parts.push(part);
    }
    return (line) =>
      parts.map(({ first, weights, sum }) => {
        let total = 0;
        for (let k = 0; k < weights.length; k++) total += weights[k] * line[first + k];
        return divided(fine * total, sum);
      });
  }

  const transposed = (rows) => rows[0].map((_, x) => rows.map((row) => row[x]));

  /** Where the first of these lines goes so that the centre of mass comes to 14. */
  function placeOf(rows) {
    let mass = 0, moment = 0;
    rows.forEach((row, i) => {
      for (const value of row) {
        mass += value;
        moment += i * value;
      }
    });
    return Math.min(Math.max(Math.floor((28 * mass - 2 * moment + mass) / (2 * mass)), 0), SIDE - rows.length);
  }

  /** {width, height, pixels: Uint8Array} as a Uint8Array of 784; null for a blank picture. */
  return function digitise(image) {
    const ink = inkOf(image);
    if (!ink) return null;
    const box = boxOf(image, ink), height = box.length, width = box[0].length, longest = Math.max(height, width);
    const across = scaling(width, Math.max(divided(BOX * width, longest), 1), FINE);
    const down = scaling(height, Math.max(divided(BOX * height, longest), 1), 1);
    const fine = transposed(transposed(box.map(across)).map(down));
    const largest = Math.max(...fine.flat());
    const small = fine.map((row) => row.map((value) => divided(255 * value, largest)));
    const top = placeOf(small), left = placeOf(transposed(small));
    const digit = new Uint8Array(SIDE * SIDE);
    small.forEach((row, y) => digit.set(row, (top + y) * SIDE + left));
    return digit;
  };
})();
