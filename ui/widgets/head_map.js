// Draws the layer by head map on a canvas. Python sends colour positions 0..254 (127 is zero, 255 an
// absent head) and numbers for the tooltip; the clicked cell goes back as the trigger `pick`.

const LEFT = 40, TOP = 8, BOTTOM = 40, BAR = 76;

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector('.map');
  const canvas = root.querySelector('canvas');
  const tip = root.querySelector('.tip');
  const [layers, heads] = data.shape;
  const palette = interpolate(data.palette);
  const kept = new Set(data.kept.map(([l, h]) => l * heads + h));
  let picked = data.picked ? data.picked[0] * heads + data.picked[1] : -1;
  let cursor = -1;
  let box = null;

  const draw = () => {
    box = layout(root.clientWidth, layers, heads);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    canvas.style.width = `${box.width}px`;
    canvas.style.height = `${box.height}px`;
    const pen = canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    cells(pen, box, data, palette);
    const frame = (i, colour, width, pad) => {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      const x = LEFT + (i % heads) * box.w, y = TOP + Math.floor(i / heads) * box.h;
      pen.strokeRect(x - pad, y - pad, box.w - box.gap + 2 * pad, box.h - box.gap + 2 * pad);
    };
    kept.forEach((i) => frame(i, data.theme.mark, 1.25, 0.4));
    if (cursor >= 0) frame(cursor, data.theme.muted, 1.5, 1);
    if (picked >= 0) {
      frame(picked, data.theme.paper, 5, 1.5);
      frame(picked, data.theme.accent, 2.5, 1.5);
    }
    axes(pen, box, data);
    bar(pen, box, data, palette);
  };

  const cellAt = (event) => {
    const rect = canvas.getBoundingClientRect();
    const h = Math.floor((event.clientX - rect.left - LEFT) / box.w);
    const l = Math.floor((event.clientY - rect.top - TOP) / box.h);
    const inside = h >= 0 && h < heads && l >= 0 && l < layers;
    return inside && data.colour[l * heads + h] !== 255 ? l * heads + h : -1;
  };
  const show = (i) => {
    if (i === cursor) return;
    cursor = i;
    draw();
    tip.hidden = i < 0;
    if (i < 0) return;
    describe(tip, data, i, heads);
    const x = LEFT + (i % heads) * box.w, y = TOP + Math.floor(i / heads) * box.h;
    const right = x + box.w + 10 + tip.offsetWidth > root.clientWidth;
    tip.style.left = `${right ? Math.max(0, x - tip.offsetWidth - 10) : x + box.w + 10}px`;
    tip.style.top = `${Math.min(y, box.height - tip.offsetHeight)}px`;
  };
  const pick = (i) => {
    if (i < 0) return;
    picked = i;
    draw();
    setTriggerValue('pick', { layer: Math.floor(i / heads), head: i % heads });
    // On a narrow window what the map opens stands below it.
    const detail = document.querySelector('.st-key-grid4_head_facts');
    const top = detail ? detail.getBoundingClientRect().top : 0;
    if (top > window.innerHeight * 0.9) detail.scrollIntoView({ block: 'center' });
  };
  const STEP = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads };
  const key = (event) => {
    if (event.key === 'Enter' || event.key === ' ') pick(cursor >= 0 ? cursor : picked);
    else if (event.key === 'Escape') show(-1);
    else if (event.key in STEP) {
      const from = cursor >= 0 ? cursor : Math.max(picked, 0);
      const sideways = Math.abs(STEP[event.key]) === 1;
      const to = from + STEP[event.key];
      const sameRow = Math.floor(to / heads) === Math.floor(from / heads);
      if (to >= 0 && to < layers * heads && (!sideways || sameRow)) show(to);
    } else return;
    event.preventDefault();
  };

  tip.style.background = data.theme.ink;
  tip.style.color = data.theme.paper;
  canvas.setAttribute(
    'aria-label',
    `Map of ${layers} layers by ${heads} heads. Arrow keys move, Enter picks a head.`,
  );
  canvas.onmousemove = (event) => show(cellAt(event));
  canvas.onmouseleave = () => show(-1);
  canvas.onblur = () => show(-1);
  canvas.onclick = (event) => pick(cellAt(event));
  canvas.onkeydown = key;
  draw();
  root.dataset.ready = `${layers}x${heads}`;
  const observer = new ResizeObserver(draw);
  observer.observe(root);
  if (document.fonts) document.fonts.ready.then(draw);
  return () => observer.disconnect();
}

// Whole pixels per cell, so that every cell is equally wide and a click has no rounding to do.
function layout(width, layers, heads) {
  const w = Math.max(4, Math.min(44, Math.floor((width - LEFT - BAR) / heads)));
  const h = Math.max(8, Math.min(34, Math.floor(540 / layers)));
  return {
    w, h, gap: Math.min(w, h) >= 7 ? 1 : 0,
    width: LEFT + w * heads + BAR, height: TOP + h * layers + BOTTOM, right: LEFT + w * heads,
    bottom: TOP + h * layers,
  };
}

function cells(pen, box, data, palette) {
  const [layers, heads] = data.shape;
  for (let i = 0; i < layers * heads; i += 1) {
    if (data.colour[i] === 255) continue;
    const x = LEFT + (i % heads) * box.w, y = TOP + Math.floor(i / heads) * box.h;
    const estimate = data.faint && data.faint[i];
    pen.globalAlpha = estimate ? data.opacity : 1;
    pen.fillStyle = palette[data.colour[i]];
    pen.fillRect(x, y, box.w - box.gap, box.h - box.gap);
    pen.globalAlpha = 1;
    if (estimate) hatch(pen, x, y, box.w - box.gap, box.h - box.gap, data.theme.faint);
  }
}

// An estimate from a pilot must not look like a head that was measured on the whole probe.
function hatch(pen, x, y, w, h, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, w, h);
  pen.clip();
  pen.beginPath();
  for (let at = x + 3; at < x + w + h; at += 6) {
    pen.moveTo(at, y);
    pen.lineTo(at - h, y + h);
  }
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.stroke();
  pen.restore();
}

function axes(pen, box, data) {
  const [layers, heads] = data.shape;
  pen.fillStyle = data.theme.muted;
  pen.font = '11px Inter, system-ui, sans-serif';
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  const every = (count, size, room) => [1, 2, 4, 5, 8, 10, 16, 20].find((s) => s * size >= room) || 20;
  const rows = every(layers, box.h, 15), columns = every(heads, box.w, 22);
  for (let l = 0; l < layers; l += rows) pen.fillText(l, LEFT - 7, TOP + (l + 0.5) * box.h);
  pen.textAlign = 'center';
  for (let h = 0; h < heads; h += columns) {
    pen.fillText(h, LEFT + (h + 0.5) * box.w, box.bottom + 11);
  }
  pen.fillText('Head', (LEFT + box.right) / 2, box.bottom + 29);
  pen.save();
  pen.translate(7, (TOP + box.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText('Layer', 0, 0);
  pen.restore();
}

function bar(pen, box, data, palette) {
  const x = box.right + 16, top = TOP + 22, height = Math.min(180, box.bottom - top - 8);
  if (height < 60) return;
  for (let y = 0; y < height; y += 1) {
    pen.fillStyle = palette[Math.round(254 * (1 - y / (height - 1)))];
    pen.fillRect(x, top + y, 9, 1.5);
  }
  pen.fillStyle = data.theme.muted;
  pen.textAlign = 'left';
  pen.fillText(data.title, x - 2, TOP + 5);
  const [positions, labels] = data.ticks;
  positions.forEach((p, i) => {
    pen.fillText(labels[i], x + 14, top + (height - 1) * (1 - (p + 1) / 2));
  });
}

function describe(tip, data, i, heads) {
  const number = (v, digits) => (v === null ? 'n/a' : v.toFixed(digits).replace('-', '−'));
  const line = (label, text) => {
    const row = document.createElement('div');
    const name = document.createElement('span');
    name.textContent = `${label} `;
    row.append(name, text);
    return row;
  };
  const title = document.createElement('b');
  title.textContent = `Layer ${Math.floor(i / heads)}, head ${i % heads}`;
  const value = data.value[i];
  const rows = [title, line(data.title, (value > 0 ? '+' : '') + number(value, 4))];
  const { stderr, n, rank } = data.extra;
  if (stderr) rows.push(line('std. error', number(stderr[i], 4)));
  if (n) rows.push(line('samples', n[i]));
  if (rank && !(data.faint && data.faint[i])) rows.push(line('rank', rank[i]));
  if (data.faint && data.faint[i]) rows.push(line('raced out', 'estimate from a pilot'));
  tip.replaceChildren(...rows);
}

function interpolate(colours) {
  const rgb = colours.map((c) => [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16)));
  return Array.from({ length: 255 }, (_, i) => {
    const at = (i / 254) * (rgb.length - 1), low = Math.min(Math.floor(at), rgb.length - 2);
    const mix = rgb[low].map((a, k) => Math.round(a + (rgb[low + 1][k] - a) * (at - low)));
    return `rgb(${mix.join(',')})`;
  });
}
