// Lines over two logarithmic axes, as SVG.

const [WIDTH, HEIGHT] = [720, 420];
const [LEFT, TOP, RIGHT, BOTTOM] = [70, 40, 150, 50];
const COLORS = ['#1f5fa8', '#c2571a', '#2e7d4f', '#7b3f98'];

/** Powers of ten from the one below LOW to the one above HIGH. */
function decades(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.max(first + 1, Math.ceil(Math.log10(high)));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

const text = (x, y, words, anchor = 'middle', fill = '#333') =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${fill}">${words}</text>`;

/** SERIES: `{name, points: [x, y][]}`, all numbers above 0. A dashed line shows what grows in proportion. */
export function plot(title, series) {
  const points = series.flatMap((one) => one.points);
  const xs = decades(Math.min(...points.map(([x]) => x)), Math.max(...points.map(([x]) => x)));
  const ys = decades(Math.min(...points.map(([, y]) => y)), Math.max(...points.map(([, y]) => y)));
  const along = (value, ticks, from, to) => {
    const [first, last] = [Math.log10(ticks[0]), Math.log10(ticks.at(-1))];
    return Number((from + ((Math.log10(value) - first) / (last - first)) * (to - from)).toFixed(1));
  };
  const x = (value) => along(value, xs, LEFT, WIDTH - RIGHT);
  const y = (value) => along(value, ys, HEIGHT - BOTTOM, TOP);
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 22, title, 'start'),
  ];
  for (const tick of xs) {
    out.push(`<path d="M${x(tick)} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`);
    out.push(text(x(tick), HEIGHT - BOTTOM + 18, tick.toLocaleString('en')));
  }
  for (const tick of ys) {
    out.push(`<path d="M${LEFT} ${y(tick)}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    out.push(text(LEFT - 8, y(tick) + 4, `${tick} s`, 'end'));
  }
  // In proportion: one decade up for each to the right, as far as there is room.
  const reach = Math.min(xs.length, ys.length) - 1;
  out.push(
    `<path d="M${x(xs.at(-1 - reach))} ${y(ys.at(-1 - reach))}L${x(xs.at(-1))} ${y(ys.at(-1))}" stroke="#999" stroke-dasharray="4 4"/>`,
    text(WIDTH - RIGHT + 8, TOP + 4, 'in proportion', 'start', '#777'),
  );
  for (const [i, one] of series.entries()) {
    const color = COLORS[i % COLORS.length];
    const path = one.points.map(([a, b], at) => `${at === 0 ? 'M' : 'L'}${x(a)} ${y(b)}`).join('');
    out.push(`<path d="${path}" fill="none" stroke="${color}" stroke-width="2"/>`);
    for (const [a, b] of one.points) out.push(`<circle cx="${x(a)}" cy="${y(b)}" r="3" fill="${color}"/>`);
    out.push(text(WIDTH - RIGHT + 8, TOP + 30 + 18 * i, one.name, 'start', color));
  }
  return `${out.join('\n')}\n</svg>\n`;
}
