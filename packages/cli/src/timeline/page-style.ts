/** The timeline's look: light or dark as the reader's system is, legible without colours too. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f7f8fa; --card: #ffffff; --text: #1b2330; --soft: #5d6878; --line: #e3e7ed; --hover: #f0f4fa;
  --run: #2f6fde; --write: #a9c6f7; --cached: #1f9d6b; --failed: #d5334b; --off: #98a2b3; --moved: #d98a12;
  --critical: #b45309; --code: #f1f3f7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141b; --card: #171e28; --text: #e4e9f1; --soft: #93a0b4; --line: #263040; --hover: #1e2734;
    --run: #5b93f5; --write: #2b4a80; --cached: #3fc48d; --failed: #f2667a; --off: #667387; --moved: #e5a93d;
    --critical: #f0b35a; --code: #10161e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 28px clamp(12px, 3vw, 44px) 48px; background: var(--page); color: var(--text);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; margin-bottom: 16px; }
h1 { font-size: 21px; font-weight: 650; letter-spacing: -.01em; margin: 0; overflow-wrap: anywhere; }
.verdict { font-weight: 650; font-size: 12px; padding: 2px 10px; border-radius: 99px; color: #fff; background: var(--cached); }
.verdict.failed { background: var(--failed); }
@media (prefers-color-scheme: dark) { .verdict { color: #0f141b; } }
.began { color: var(--soft); margin-left: auto; }
.failure { flex-basis: 100%; margin: 6px 0 0; color: var(--failed); overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 18px; }
dl > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 16px; min-width: 128px; }
dt { color: var(--soft); font-size: 12px; }
dd { margin: 0; font-size: 19px; font-weight: 600; letter-spacing: -.01em; }
dd small { font-size: 13px; font-weight: 400; color: var(--soft); }
.bar-of-tools { display: flex; flex-wrap: wrap; gap: 6px 18px; align-items: center; color: var(--soft); font-size: 12.5px; margin: 0 2px 10px; }
.key::before { content: ""; display: inline-block; width: 18px; height: 9px; border-radius: 3px; margin-right: 6px; background: var(--c); }
.key.dot::before { width: 9px; border-radius: 50%; }
.tools { margin-left: auto; display: flex; gap: 14px; align-items: center; }
.tools label { cursor: pointer; }
.tools input { accent-color: var(--run); margin: 0 4px 0 0; vertical-align: -1px; }
.chart { background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow-x: auto; --zoom: 1; --names: clamp(210px, 34vw, 460px); }
body:has(#zoom4:checked) .chart { --zoom: 4; }
body:has(#zoom16:checked) .chart { --zoom: 16; }
body:has(#only:checked) details:not(.critical) { display: none; }
.wide { width: calc(var(--names) + (100% - var(--names)) * var(--zoom)); min-width: 640px; }
.axis, h2, summary { display: grid; grid-template-columns: var(--names) 1fr; }
.axis { height: 30px; border-bottom: 1px solid var(--line); color: var(--soft); font-size: 11.5px; }
.axis > span { position: sticky; left: 0; }
.axis > div { position: relative; margin-right: 66px; }
.axis b { position: absolute; left: calc(var(--s) * 1%); top: 7px; font-weight: 400; padding-left: 4px; border-left: 1px solid var(--line); height: 23px; white-space: nowrap; }
h2 { margin: 0; padding: 9px 0 5px; font-size: 12px; font-weight: 650; letter-spacing: .02em; color: var(--soft); border-top: 1px solid var(--line); background: color-mix(in srgb, var(--page) 55%, var(--card)); }
section:first-of-type h2 { border-top: 0; }
h2 span { padding-left: 14px; position: sticky; left: 0; overflow-wrap: anywhere; }
h2 small { font-weight: 400; }
summary { list-style: none; cursor: pointer; min-height: 30px; align-items: stretch; }
summary::-webkit-details-marker { display: none; }
summary:hover, details[open] > summary { background: var(--hover); }
summary:focus-visible { outline: 2px solid var(--run); outline-offset: -2px; }
.name { position: sticky; left: 0; z-index: 1; display: flex; align-items: center; gap: 8px; padding: 4px 12px 4px 14px; background: var(--card); min-width: 0; border-left: 3px solid transparent; }
summary:hover .name, details[open] > summary .name { background: var(--hover); }
.critical .name { border-left-color: var(--critical); }
.name i { flex: none; width: 9px; height: 9px; border-radius: 50%; background: var(--c); }
.waiting .name i, .cancelled .name i { background: transparent; border: 2px solid var(--off); }
.failed .name i { border-radius: 2px; transform: rotate(45deg); }
.name code { font: 12.5px/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; unicode-bidi: isolate; }
.name code em { font-style: normal; color: var(--soft); }
.lane { position: relative; margin-right: 66px; background-image: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px calc(var(--tick) * 1%)); }
.lane u { position: absolute; top: 8px; height: 14px; left: calc(var(--s) * 1%); width: max(3px, calc(var(--w) * 1%)); border-radius: 3px; background: var(--c); text-decoration: none; }
.lane u.write { background: var(--write); border-radius: 0 3px 3px 0; }
.lane u.moved { top: 24px; height: 3px; background: var(--moved); border-radius: 2px; }
.critical .lane u.main { box-shadow: 0 0 0 1.5px var(--card), 0 0 0 3px var(--critical); }
.cancelled .lane u.main { background: repeating-linear-gradient(45deg, var(--off) 0 4px, transparent 4px 7px); border: 1px solid var(--off); }
.cached .lane u.main { width: 9px; height: 9px; top: 10.5px; border-radius: 50%; margin-left: -1px; }
.lane s { position: absolute; top: 6px; left: calc(var(--s) * 1%); padding: 0 8px; text-decoration: none; color: var(--soft); font-size: 12px; white-space: nowrap; }
.lane s.before { left: auto; right: calc(100% - var(--s) * 1%); }
.cached .lane s { padding-left: 15px; }
.cached { --c: var(--cached); } .run { --c: var(--run); } .failed { --c: var(--failed); } .cancelled, .waiting { --c: var(--off); }
.more { padding: 4px 20px 16px 31px; background: var(--hover); border-bottom: 1px solid var(--line); position: sticky; left: 0; max-width: calc(100vw - 2 * clamp(12px, 3vw, 44px)); }
.more p, .more ul { margin: 4px 0 8px; overflow-wrap: anywhere; unicode-bidi: isolate; }
.more ul { padding-left: 18px; }
.more .full { font: 12.5px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.more .facts { color: var(--soft); font-size: 12.5px; }
.more .error { color: var(--failed); }
pre { margin: 8px 0 0; padding: 12px 14px; max-height: 420px; overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--code); font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; direction: ltr; }
footer { color: var(--soft); font-size: 12.5px; margin: 14px 2px 0; }
@media print { .tools { display: none; } .chart { overflow: visible; } }
`;
