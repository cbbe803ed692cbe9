// The page: what is drawn goes to the brain, and what it answers is shown.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };
  const mind = brain(data);
  const labels = data.classes;
  document.body.classList.toggle("words", labels.some((label) => label.length > 2));
  let latest = null; // the picture that is shown
  let corrected = false; // whether it was put right already

  const bars = labels.map((label) => {
    const fill = make("span"), value = make("span", { className: "value" });
    const name = make("span", { className: "name", textContent: label, title: label });
    const row = make("li", {}, name, make("div", { className: "bar" }, fill), value);
    at("bars").append(row);
    return { row, fill, value };
  });
  const buttons = labels.map((label, i) => {
    const button = make("button", { type: "button", textContent: label, disabled: true, onclick: () => correct(i) });
    button.setAttribute("aria-label", `It is a ${label}`);
    at("labels").append(button);
    return button;
  });

  const percent = (v) => (v > 0.9995 ? "100 %" : v < 0.0005 ? "0 %" : `${(100 * v).toFixed(1)} %`);

  function showOutputs(outputs) {
    const best = outputs.indexOf(Math.max(...outputs));
    const shares = outputs.every((v) => v >= 0 && v <= 1);
    const low = shares ? 0 : Math.min(0, ...outputs), high = shares ? 1 : Math.max(...outputs);
    bars.forEach(({ row, fill, value }, i) => {
      row.className = i === best ? "best" : "";
      buttons[i].classList.toggle("best", i === best);
      fill.style.setProperty("transform", `scaleX(${(outputs[i] - low) / (high - low || 1)})`);
      value.textContent = shares ? percent(outputs[i]) : outputs[i].toFixed(2);
    });
    at("answer").textContent = labels[best];
    at("share").textContent = bars[best].value.textContent;
    say(`It reads ${labels[best]}, ${bars[best].value.textContent}`);
  }

  // Screen readers hear the answer once the pen rests, not at every move of it.
  let saying = 0;
  function say(text) {
    clearTimeout(saying);
    saying = setTimeout(() => (at("status").textContent = text), 600);
  }

  function showDigit(digit) {
    const context = at("digit").getContext("2d"), image = context.createImageData(28, 28);
    for (let i = 0; i < 784; i++) image.data.set([digit[i], digit[i], digit[i], 255], 4 * i);
    context.putImageData(image, 0, 0);
  }

  // --- hidden layers: each number a cell, bright where it is large; blue above zero, orange below

  const ABOVE = [86, 180, 233], BELOW = [230, 120, 40], GROUND = [18, 22, 28];
  const CELL = 6;

  function showLayer({ name, shape, values }, figure) {
    const images = shape.length === 3;
    const [H, W] = images ? shape.slice(1) : [1, 1];
    const count = values.length / (H * W), cell = images ? 2 : CELL, gap = images ? 2 : 1;
    const wide = images ? 66 : 15; // pixels of the screen, at least
    const columns = Math.min(count, Math.max(1, Math.floor(figure.clientWidth / wide)));
    const rows = Math.ceil(count / columns);
    const canvas = figure.querySelector("canvas"), context = canvas.getContext("2d");
    canvas.width = columns * (W * cell + gap) - gap;
    canvas.height = rows * (H * cell + gap) - gap;
    let most = 0;
    for (const value of values) most = Math.max(most, Math.abs(value));
    values.forEach((value, i) => {
      const tile = Math.floor(i / (H * W)), y = Math.floor((i % (H * W)) / W), x = i % W;
      const strength = most ? Math.sqrt(Math.abs(value) / most) : 0, colour = value < 0 ? BELOW : ABOVE;
      context.fillStyle = `rgb(${GROUND.map((dark, k) => Math.round(dark + (colour[k] - dark) * strength))})`;
      context.fillRect(
        (tile % columns) * (W * cell + gap) + x * cell, Math.floor(tile / columns) * (H * cell + gap) + y * cell, cell, cell,
      );
    });
    const size = images ? `${shape[0]} images of ${H} x ${W}` : `${values.length} numbers`;
    figure.querySelector("figcaption").textContent = `Layer ${name}, ${size}`;
    canvas.setAttribute("aria-label", `What layer ${name} puts out: ${size}`);
  }

  function showLayers(layers) {
    at("layers-card").hidden = !layers.length;
    const figures = at("layers");
    while (figures.children.length < layers.length) {
      const canvas = make("canvas");
      canvas.setAttribute("role", "img");
      figures.append(make("figure", {}, make("figcaption"), canvas));
    }
    layers.forEach((layer, i) => showLayer(layer, figures.children[i]));
  }

  function showNothing() {
    showDigit(new Uint8Array(784));
    for (const { row, fill, value } of bars) {
      row.className = "";
      fill.style.setProperty("transform", "scaleX(0)");
      value.textContent = "";
    }
    at("answer").textContent = "?";
    at("share").textContent = "";
    say("");
    at("layers-card").hidden = true;
  }

  // --- one drawing is read at a time; of those that come meanwhile only the last one matters

  let busy = false, fresh = false;
  async function read() {
    if (busy || !fresh) return;
    busy = true;
    do {
      fresh = false;
      const image = paper.image();
      try {
        const reading = image && (await mind.read(image));
        latest = reading && image;
        if (reading) {
          showDigit(reading.digit);
          showOutputs(reading.outputs);
          showLayers(reading.layers);
        } else {
          showNothing();
        }
      } catch (error) {
        latest = null;
        showNothing();
        tell(error.message, "bad");
      }
    } while (fresh);
    busy = false;
    for (const button of buttons) button.disabled = !latest || corrected;
    document.body.dataset.state = latest ? "read" : "empty";
  }

  function tell(text, kind = "") {
    at("kept").textContent = text;
    at("kept").className = kind;
  }

  async function correct(label) {
    if (!latest || corrected || busy) return;
    corrected = true;
    for (const button of buttons) button.disabled = true;
    buttons[label].classList.add("chosen");
    try {
      const kept = await mind.correct(latest, label);
      tell(`Thank you. ${kept} ${kept === 1 ? "digit is" : "digits are"} kept.`, "good");
      offer(mind.files());
    } catch (error) {
      corrected = false;
      for (const button of buttons) button.disabled = !latest;
      buttons[label].classList.remove("chosen");
      tell(error.message, "bad");
    }
  }

  /** Links to what is kept in the page alone. */
  function offer(files) {
    if (!files) return;
    for (const link of at("downloads").children) URL.revokeObjectURL(link.href);
    at("downloads").replaceChildren(
      ...Object.entries(files).map(([name, parts]) =>
        make("a", {
          className: "button",
          download: name,
          href: URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" })),
          textContent: `Download the ${name.includes("labels") ? "labels" : "images"}`,
        }),
      ),
    );
    at("downloads").hidden = false;
  }

  const paper = pad(at("pad"), () => {
    const image = paper.image();
    document.body.classList.toggle("drawn", Boolean(image));
    at("undo").disabled = at("clear").disabled = !image;
    if (corrected) {
      corrected = false;
      for (const button of buttons) button.classList.remove("chosen");
    }
    tell("");
    fresh = true;
    document.body.dataset.state = "reading";
    requestAnimationFrame(read);
  });
  at("undo").onclick = () => paper.undo();
  at("clear").onclick = () => paper.clear();
  addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key === "z") paper.undo();
    else if (command || event.altKey) return;
    else if (event.key === "Delete" || event.key === "Escape") paper.clear();
    else if (labels.includes(event.key)) correct(labels.indexOf(event.key));
    else return;
    event.preventDefault();
  });
  showNothing();
  document.body.dataset.state = "empty";
})();
