// The pad to draw on: mouse, finger or pen, or the keyboard. Strokes are kept, so that one can be taken back.
"use strict";

/**
 * Draws on `canvas`; calls `changed` after each change. `image()` is the drawing as the network's picture, light on
 * dark, whatever colours the page has; null where nothing is drawn.
 */
function pad(canvas, changed) {
  const SIDE = 280, WIDTH = 22, STEP = 8;
  const strokes = []; // each a list of points [x, y], in pixels of a pad of SIDE x SIDE
  const pens = new Map(); // by the pointer's number, the stroke that it is drawing
  const pen = { x: SIDE / 2, y: SIDE / 2, down: null, shown: false };
  const picture = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const ink = picture.getContext("2d", { willReadFrequently: true });
  const shown = canvas.getContext("2d");

  function paint(context, scale, colour) {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    Object.assign(context, { strokeStyle: colour, lineWidth: WIDTH, lineCap: "round", lineJoin: "round" });
    for (const stroke of strokes) {
      // From middle to middle of the pieces, so that quick strokes, of few points, are round as well.
      let [x, y] = stroke[0];
      context.beginPath();
      context.moveTo(x, y);
      for (const [nextX, nextY] of stroke) {
        context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
        [x, y] = [nextX, nextY];
      }
      context.lineTo(x, y + 0.01); // so that a tap, which is one point, is a dot
      context.stroke();
    }
  }

  function show() {
    const style = getComputedStyle(canvas), scale = canvas.width / SIDE;
    shown.setTransform(1, 0, 0, 1, 0, 0);
    shown.clearRect(0, 0, canvas.width, canvas.height);
    paint(shown, scale, style.color);
    if (!pen.shown) return;
    Object.assign(shown, { strokeStyle: style.outlineColor, lineWidth: 2 });
    shown.beginPath();
    shown.arc(pen.x, pen.y, pen.down ? WIDTH / 2 : WIDTH / 3, 0, 2 * Math.PI);
    shown.stroke();
  }

  function redraw() {
    show();
    changed();
  }

  function fit() {
    const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    show();
  }

  const held = (value) => Math.min(Math.max(value, 0), SIDE);

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [held(((event.clientX - box.left) / box.width) * SIDE), held(((event.clientY - box.top) / box.height) * SIDE)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const stroke = [place(event)];
    pens.set(event.pointerId, stroke);
    strokes.push(stroke);
    lift();
    pen.shown = false;
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    const stroke = pens.get(event.pointerId);
    if (!stroke) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const one of between.length ? between : [event]) stroke.push(place(one));
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => pens.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  // Arrow keys move a pen, and the space bar puts it down and lifts it.
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const lift = () => (pen.down = null);
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    pen.shown = true;
    if (arrow) {
      pen.x = held(pen.x + arrow[0] * STEP);
      pen.y = held(pen.y + arrow[1] * STEP);
      pen.down?.push([pen.x, pen.y]);
    } else if (pen.down) {
      lift();
    } else {
      strokes.push((pen.down = [[pen.x, pen.y]]));
    }
    redraw();
  });
  canvas.addEventListener("blur", () => {
    lift();
    pen.shown = false;
    show();
  });

  new ResizeObserver(fit).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  fit();

  return {
    image() {
      if (!strokes.length) return null;
      ink.setTransform(1, 0, 0, 1, 0, 0);
      ink.fillStyle = "#000";
      ink.fillRect(0, 0, SIDE, SIDE);
      paint(ink, 1, "#fff");
      const { data } = ink.getImageData(0, 0, SIDE, SIDE);
      return { width: SIDE, height: SIDE, pixels: Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i]) };
    },
    undo() {
      lift();
      pens.clear();
      strokes.pop();
      redraw();
    },
    clear() {
      lift();
      pens.clear();
      strokes.length = 0;
      redraw();
    },
  };
}
