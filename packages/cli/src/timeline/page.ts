import { bytes } from '../progress/text.js';
import { PAGE_STYLE } from './page-style.js';
import type { RecordedStep, Recording } from './recorder.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** TEXT as HTML shows it, in elements and attributes alike. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}

/** `0.8 ms`, `340 ms`, `2.41 s`, `3 min 12 s`. */
function time(milliseconds: number): string {
  if (milliseconds < 999.5)
    return `${milliseconds < 9.95 ? Number(milliseconds.toFixed(1)) : Math.round(milliseconds)} ms`;
  if (milliseconds < 99_950) return `${(milliseconds / 1000).toFixed(milliseconds < 9_995 ? 2 : 1)} s`;
  const whole = Math.round(milliseconds / 1000);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Milliseconds between two lines of the scale: 1, 2 or 5 times a power of ten, six to twelve of them. */
function tickOf(duration: number): number {
  const rough = Math.max(duration, 1) / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * (rough / power >= 5 ? 5 : rough / power >= 2 ? 2 : 1);
}

const WORDS = {
  cached: 'cached',
  run: 'run',
  failed: 'failed',
  cancelled: 'cancelled',
  waiting: 'never began',
} as const;

function stepName(name: string): string {
  const [, place = '', rest = name] = /^(\[[^\]]*\] )(.*)$/s.exec(name) ?? [];
  return `<code title="${escapeHtml(name)}"><em>${escapeHtml(place)}</em>${escapeHtml(rest)}</code>`;
}

function details(step: RecordedStep): string {
  const { state, start, end, handedOn, line, critical, reasons, error, output, transfers } = step;
  const ran = state === 'run' || state === 'failed' || state === 'cancelled';
  const facts = [
    WORDS[state],
    ...(ran ? [`from ${time(start)} to ${time(end)}`, time(end - start)] : []),
    ...(handedOn === undefined ? [] : [`the next step began at ${time(handedOn)}, while its layer was written`]),
    ...(critical ? ['on the critical path'] : []),
    ...(line === undefined ? [] : [`line ${line} of the Dockerfile`]),
  ];
  const list = (items: readonly string[]): string =>
    items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`;
  return [
    `<p class="full">${escapeHtml(step.name)}</p><p class="facts">${escapeHtml(facts.join(' · '))}</p>`,
    error === undefined ? '' : `<p class="error">${escapeHtml(error)}</p>`,
    reasons.length === 0 ? '' : `<p>Why it ran:</p>${list(reasons)}`,
    list(transfers.map(({ what, bytes: size, start: a, end: b }) => `${what}: ${bytes(size)} in ${time(b - a)}`)),
    output === '' ? '' : `<pre>${escapeHtml(output)}</pre>`,
  ].join('');
}

function row(step: RecordedStep, duration: number): string {
  const { state, start, end, handedOn } = step;
  const percent = (at: number): string => ((100 * at) / Math.max(duration, 1)).toFixed(3);
  const bar = (kind: string, from: number, to: number): string =>
    `<u class="${kind}" style="--s:${percent(from)};--w:${percent(to - from)}"></u>`;
  const label = state === 'cached' ? 'cached' : time(end - start);
  const bars =
    state === 'waiting'
      ? ''
      : [
          bar('main', start, state === 'cached' ? start : end),
          handedOn === undefined ? '' : bar('write', handedOn, end),
          ...step.transfers.map((one) => bar('moved', one.start, one.end)),
          `<s${end > duration * 0.93 && start > duration * 0.1 ? ' class="before"' : ''} style="--s:${percent(end > duration * 0.93 && start > duration * 0.1 ? start : end)}">${label}</s>`,
        ].join('');
  return (
    `<details class="${state}${step.critical ? ' critical' : ''}"><summary><span class="name"><i></i>${stepName(step.name)}</span>` +
    `<span class="lane">${bars}</span></summary><div class="more">${details(step)}</div></details>\n`
  );
}

function stageSection(stage: string, steps: readonly RecordedStep[], duration: number): string {
  const ran = steps.filter(({ state }) => state !== 'cached' && state !== 'waiting');
  const span = ran.length > 0 ? Math.max(...ran.map(({ end }) => end)) - Math.min(...ran.map(({ start }) => start)) : 0;
  const title = stage === '' ? 'Result' : `Stage ${escapeHtml(stage)}`;
  const cached = steps.every(({ state }) => state === 'cached') ? 'all cached' : time(span);
  return `<section><h2><span>${title} <small>· ${cached}</small></span></h2>\n${steps.map((step) => row(step, duration)).join('')}</section>\n`;
}

function scale(duration: number, tick: number): string {
  const marks: string[] = [];
  for (let at = 0; at <= duration; at += tick) {
    marks.push(`<b style="--s:${((100 * at) / Math.max(duration, 1)).toFixed(3)}">${time(at)}</b>`);
  }
  return `<div class="axis"><span></span><div>${marks.join('')}</div></div>\n`;
}

/**
 * A build as one page without a script: what a step printed can do nothing in it. A row a step, its bar over time, its output on a
 * click.
 */
export function timelinePage(recording: Recording): string {
  const { title, began, duration, failure, steps, warnings } = recording;
  const tick = tickOf(duration);
  const stages = new Map<string, RecordedStep[]>();
  for (const step of steps) stages.set(step.stage, [...(stages.get(step.stage) ?? []), step]);
  const own = steps.filter(({ stage }) => stage !== '');
  const cached = own.filter(({ state }) => state === 'cached').length;
  const critical = steps.filter((step) => step.critical);
  const path = critical.reduce((sum, { start, end, handedOn }) => sum + (handedOn ?? end) - start, 0);
  const card = (name: string, value: string): string => `<div><dt>${name}</dt><dd>${value}</dd></div>`;
  const keys: readonly (readonly [string, string, string?])[] = [
    ['cached', 'cached', 'dot'],
    ['run', 'run'],
    ['write', 'layer written while the next step runs'],
    ['failed', 'failed'],
    ['moved', 'transfers'],
    ['critical', 'critical path'],
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title || 'build')} – strake build</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header><h1>${escapeHtml(title || 'strake build')}</h1><span class="verdict${failure === undefined ? '' : ' failed'}">${failure === undefined ? 'built' : 'failed'}</span>
<time class="began">${new Date(began).toISOString().replace('T', ' ').slice(0, 19)} UTC</time>
${failure === undefined ? '' : `<p class="failure">${escapeHtml(failure)}</p>`}</header>
<dl>${card('time', time(duration))}${card('steps cached', `${cached} <small>of ${own.length}</small>`)}${card(
    'critical path',
    `${time(path)} <small>${critical.length} step${critical.length === 1 ? '' : 's'}</small>`,
  )}${warnings.length === 0 ? '' : card('warnings', String(warnings.length))}</dl>
<div class="bar-of-tools">${keys
    .map(([name, text, kind = '']) => `<span class="key ${kind}" style="--c:var(--${name})">${text}</span>`)
    .join('')}
<span class="tools"><label><input type="checkbox" id="only">critical path only</label>
<span><label><input type="radio" name="zoom" checked>1×</label> <label><input type="radio" name="zoom" id="zoom4">4×</label> <label><input type="radio" name="zoom" id="zoom16">16×</label></span></span></div>
<main class="chart" style="--tick:${((100 * tick) / Math.max(duration, 1)).toFixed(4)}"><div class="wide">
${scale(duration, tick)}${[...stages].map(([stage, some]) => stageSection(stage, some, duration)).join('')}</div></main>
${warnings.length === 0 ? '' : `<footer><p>Warnings:</p><ul>${warnings.map((warning) => `<li>${escapeHtml(warning)}</li>`).join('')}</ul></footer>`}
<footer>A click on a step shows what it printed and why it ran.</footer>
</body>
</html>
`;
}
