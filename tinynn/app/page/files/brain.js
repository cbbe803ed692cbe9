// What reads a drawing and keeps corrections: the server behind the page, or a network that came with it.
"use strict";

const base64 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};
const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Asks the server. Errors: Error with what it says. */
async function ask(path, body) {
  let reply;
  try {
    reply = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The server does not answer. Is tinynn serve still running?");
  }
  const said = await reply.json().catch(() => ({ error: `The server answers ${reply.status}.` }));
  if (!reply.ok) throw new Error(said.error);
  return said;
}

const asBody = ({ width, height, pixels }) => ({ width, height, pixels: base64(pixels) });

/** The two IDX files, as MNIST's, of digits {digit: Uint8Array, label}. */
function idxFiles(kept) {
  const count = [kept.length >>> 24, (kept.length >>> 16) & 255, (kept.length >>> 8) & 255, kept.length & 255];
  return {
    "train-images-idx3-ubyte": [
      Uint8Array.of(0, 0, 8, 3, ...count, 0, 0, 0, 28, 0, 0, 0, 28),
      ...kept.map(({ digit }) => digit),
    ],
    "train-labels-idx1-ubyte": [Uint8Array.of(0, 0, 8, 1, ...count), Uint8Array.from(kept, ({ label }) => label)],
  };
}

/**
 * read(image) -> {digit, outputs, layers}, null for a blank picture; correct(image, label) -> how many are kept;
 * files() -> what is to be downloaded, null where the server keeps it.
 */
function brain(data) {
  const kept = [];
  const locally = {
    correct: async (image, label) => kept.push({ digit: digitise(image), label }),
    files: () => idxFiles(kept),
  };
  if (data.layers) {
    const run = network(data.layers);
    return {
      ...locally,
      read: async (image) => {
        const digit = digitise(image);
        return digit && { digit, ...run(digit) };
      },
    };
  }
  const read = async (image) => {
    if (!digitise(image)) return null;
    const { digit, outputs, layers } = await ask("read", asBody(image));
    return {
      digit: fromBase64(digit),
      outputs,
      layers: layers.map((one) => ({ ...one, values: new Float32Array(fromBase64(one.values).buffer) })),
    };
  };
  const remotely = {
    correct: async (image, label) => (await ask("correct", { ...asBody(image), label })).kept,
    files: () => null,
  };
  return { ...(data.keeps ? remotely : locally), read };
}
