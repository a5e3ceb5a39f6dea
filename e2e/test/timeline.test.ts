import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Browser, findBrowser } from './support/browser.js';
import { Workshop, type Outcome } from './support/strake.js';

const SECRET = 'correct-horse-battery';
/** What a step may print to do harm to the page that shows it. */
const HOSTILE = [
  '</pre></script><script>document.title="taken"</script>',
  '<img src="http://127.0.0.1:1/x" onerror="document.title=1">',
  '\\033[31mred\\033[0m\\033]0;title\\007',
  'left\\342\\200\\256right',
];

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

describe('strake build --timeline and --trace', function () {
  this.timeout(180_000);
  let workshop: Workshop;
  let page: string;
  let trace: string;
  before(() => {
    workshop = new Workshop();
    page = path.join(workshop.folder, 'timeline.html');
    trace = path.join(workshop.folder, 'trace.json');
    writeFileSync(path.join(workshop.folder, 'secret'), `${SECRET}\n`);
  });
  after(() => workshop.close());

  const lines = (last: string): string[] => [
    'FROM busybox AS one',
    `RUN printf '${HOSTILE.join('\\n')}\\n'`,
    'FROM busybox AS two',
    'ARG API_KEY',
    `RUN --mount=type=secret,id=token cat /run/secrets/token; echo "key $API_KEY"; sleep 0.2; mkdir /out`,
    'FROM busybox',
    'COPY --from=two /out /out',
    'RUN --mount=type=bind,from=one,target=/one true',
    `RUN ${last}`,
  ];
  const build = async (last: string): Promise<Outcome> =>
    workshop.build(lines(last), [
      ...['--timeline', page, '--trace', trace, '-t', 'app:1'],
      ...['--secret', `id=token,src=${path.join(workshop.folder, 'secret')}`, '--build-arg', 'API_KEY=k-1234'],
    ]);

  it('the trace is one for Perfetto', async () => {
    const { status, stderr } = await build('echo one');
    assert.equal(status, 0, stderr);
    const text = readFileSync(trace, 'utf8');
    assert.doesNotMatch(text, new RegExp(`${SECRET}|k-1234`));
    const { traceEvents, displayTimeUnit } = JSON.parse(text) as {
      traceEvents: TraceEvent[];
      displayTimeUnit: string;
    };
    assert.equal(displayTimeUnit, 'ms');
    const rows = new Map<number, [number, number][]>();
    for (const { ph, pid, tid, ts, dur, name } of traceEvents) {
      assert.ok(typeof name === 'string' && Number.isInteger(pid) && Number.isInteger(tid));
      if (ph === 'M') continue;
      assert.ok(ts !== undefined && ts >= 0 && Number.isFinite(ts), name);
      if (ph === 'i') continue;
      assert.equal(ph, 'X');
      assert.ok(dur !== undefined && dur >= 0, name);
      rows.set(tid, [...(rows.get(tid) ?? []), [ts, ts + dur]]);
    }
    // Within a row nothing overlaps: it would be drawn as a part of what it overlaps.
    for (const spans of rows.values()) {
      spans.sort(([a], [b]) => a - b);
      spans.forEach(([start], i) => assert.ok(start >= (spans[i - 1]?.[1] ?? 0)));
    }
    const named = new Set(traceEvents.filter(({ name }) => name === 'thread_name').map(({ tid }) => tid));
    for (const tid of rows.keys()) assert.ok(named.has(tid));
    const run = traceEvents.find(({ name }) => name.includes('RUN echo one'));
    assert.deepEqual([run?.args?.['state'], run?.args?.['critical']], ['run', true]);
  });

  it('a failed build has both, too, and none of them where they cannot be written', async () => {
    const { status } = await build('echo before the end; exit 3');
    assert.equal(status, 1);
    const html = readFileSync(page, 'utf8');
    assert.match(html, /<span class="verdict failed">failed/);
    assert.match(html, /<details class="failed[^]*before the end\n/);
    assert.match(readFileSync(trace, 'utf8'), /"state":"failed"/);
    const denied = await workshop.build(['FROM busybox'], ['--trace', path.join(workshop.folder, 'no/such/folder')]);
    assert.equal(denied.status, 1);
    assert.match(denied.stderr, /cannot write/);
  });

  describe('in a browser', () => {
    let browser: Browser | undefined;
    before(async function () {
      const program = findBrowser();
      if (program === undefined) this.skip();
      browser = await Browser.start(program);
      assert.equal((await build('echo two')).status, 0);
      await browser.open(page);
    });
    after(() => browser?.close());

    const ask = <T>(expression: string): Promise<T> => {
      assert.ok(browser);
      return browser.evaluate<T>(expression);
    };

    it('shows each step with a bar in its place', async () => {
      const rows = await ask<{ name: string; kind: string; left: number; right: number; width: number }[]>(`
        [...document.querySelectorAll('details')].map((row) => {
          const lane = row.querySelector('.lane').getBoundingClientRect();
          const bar = row.querySelector('u.main').getBoundingClientRect();
          return { name: row.querySelector('code').title, kind: row.className, left: bar.left - lane.left,
            right: lane.right - bar.right, width: bar.width };
        })`);
      const row = (name: string): (typeof rows)[number] => {
        const found = rows.find((one) => one.name.includes(name));
        assert.ok(found, name);
        return found;
      };
      for (const { name, left, right, width } of rows) {
        assert.ok(width >= 3 && left >= -2 && right >= -6, `${name}: ${left} ${width} ${right}`);
      }
      assert.equal(row('RUN --mount=type=secret').kind, 'cached');
      assert.equal(row('RUN echo two').kind, 'run critical');
      assert.ok(row('RUN echo two').width > 20);
      assert.ok(row('exporting').left > row('RUN echo two').left);
    });

    it('opens on a click what a step printed, which can do nothing', async () => {
      assert.ok(browser);
      const open = `document.querySelector('details.run pre')?.checkVisibility() ?? false`;
      assert.equal(await ask(open), false);
      await browser.click('details.run.critical:has(pre) summary');
      assert.equal(await ask(open), true);
      assert.equal(await ask(`document.querySelector('details.run pre').textContent`), 'two\n');
    });

    it('hostile output stays text, and secrets are not in it', async () => {
      assert.ok(browser);
      const { status } = await workshop.strake(['prune', '-af']);
      assert.equal(status, 0);
      assert.equal((await build('echo three')).status, 0);
      await browser.open(page);
      assert.equal(await ask('document.title'), 'app:1 – strake build');
      assert.equal(await ask('document.scripts.length + document.images.length'), 0);
      const outputs = await ask<string[]>(`[...document.querySelectorAll('pre')].map((one) => one.textContent)`);
      assert.ok(
        outputs.includes(
          '</pre></script><script>document.title="taken"</script>\n' +
            '<img src="http://127.0.0.1:1/x" onerror="document.title=1">\nred\nleftright\n',
        ),
        JSON.stringify(outputs),
      );
      assert.ok(outputs.includes('•••••\nkey •••••\n'), JSON.stringify(outputs));
      assert.doesNotMatch(readFileSync(page, 'utf8'), new RegExp(`${SECRET}|k-1234`));
      const requests = browser.told('Network.requestWillBeSent').map(({ documentURL }) => documentURL);
      assert.ok(
        requests.every((url) => url === `file://${page}` || url === 'about:blank'),
        String(requests),
      );
      assert.deepEqual(browser.told('Runtime.exceptionThrown'), []);
      assert.deepEqual(browser.told('Log.entryAdded'), []);
    });

    it('narrows to the critical path, zooms, and is dark for those who want it', async () => {
      assert.ok(browser);
      const visible = `[...document.querySelectorAll('details')].filter((row) => row.checkVisibility()).map((row) => row.className)`;
      await browser.click('#only');
      assert.ok((await ask<string[]>(visible)).every((name) => name.includes('critical')));
      const wide = `document.querySelector('.wide').getBoundingClientRect().width`;
      const before = await ask<number>(wide);
      await browser.click('#zoom4');
      assert.ok((await ask<number>(wide)) > 2 * before);
      const colour = `getComputedStyle(document.body).backgroundColor`;
      const light = await ask<string>(colour);
      const features = [{ name: 'prefers-color-scheme', value: 'dark' }];
      await browser.send('Emulation.setEmulatedMedia', { features });
      assert.notEqual(await ask<string>(colour), light);
    });
  });

  it('says what --json goes with', async () => {
    const { status, stderr } = await workshop.build(['FROM busybox'], ['--json']);
    assert.equal(status, 2);
    assert.match(stderr, /--json goes with --explain/);
    const { stdout } = await workshop.build(['FROM busybox', 'RUN true'], ['--explain', '--json']);
    const { steps } = JSON.parse(stdout) as { steps: { name: string; reasons: { kind: string }[] }[] };
    assert.equal(steps.at(-1)?.reasons[0]?.kind, 'new-step');
    assert.ok(existsSync(page));
  });
});
