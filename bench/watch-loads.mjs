// What `node bench/watch.mjs` builds, and which file it saves.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { base as nodeBase } from '../fixtures/apps/bases.mjs';
import { writeWorkload } from './workloads.mjs';

const APPS = fileURLToPath(new URL('../fixtures/apps/', import.meta.url));

/** Prints the file's first line whenever it changes: what is seen in the container, and when. */
const LOOK = (file) =>
  `CMD ["sh", "-c", "while :; do read -r l < ${file}; [ \\"$l\\" = \\"$o\\" ] || { echo \\"seen $l\\"; o=$l; }; sleep 0.01; done"]\n`;

const WEB = (base) => `FROM ${base}
WORKDIR /app
COPY package.json ./
RUN mkdir node_modules && for d in $(seq 1 200); do echo $d > node_modules/$d; done
COPY src ./src
`;

/** A page that Vite builds, served by Fastify; their packages were installed on this machine. */
const SITE = (base) => `FROM ${base} AS page
WORKDIR /page
COPY page/package.json ./
COPY page/node_modules ./node_modules
COPY page/index.html page/vite.config.js ./
COPY page/src ./src
RUN node_modules/.bin/vite build
FROM ${base}
WORKDIR /app
COPY api/package.json ./
COPY api/node_modules ./node_modules
COPY --from=page /page/dist ./public
COPY api/server.js ./
`;

function writeWeb(root) {
  for (let i = 0; i < 40; i++) put(`${root}/src/m${i}.js`, `export const m${i} = ${i};\n`.repeat(50));
  put(`${root}/package.json`, '{"name":"web"}\n');
}

function writeSite(root) {
  for (const [app, folder] of [
    ['vite', 'page'],
    ['fastify', 'api'],
  ]) {
    const target = `${root}/${folder}`;
    fs.cpSync(path.join(APPS, app), target, { recursive: true });
    if (!fs.existsSync(`${target}/node_modules`))
      execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: target, stdio: 'inherit' });
  }
}

function put(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

const server = fs.readFileSync(path.join(APPS, 'fastify/server.js'), 'utf8');
const page = fs.readFileSync(path.join(APPS, 'vite/index.html'), 'utf8');

/**
 * By name: the Dockerfile and its files, where they are no workload of run.mjs; the file that is saved, with a TEXT in its first line;
 * the file of the container that has this line then; whether a step reads the file, so that there is nothing to synchronise; the program
 * of that step, to be timed without any builder, with the folder below the load's in which it runs.
 */
export const LOADS = {
  web: { dockerfile: WEB, files: writeWeb, save: 'src/server.js', seen: '/app/src/server.js' },
  app: { save: 'src/f0.js', seen: '/app/dist/bundle.js', stepReads: true },
  ctx: { save: 'src/d3/p3/f3.js', seen: '/src/src/d3/p3/f3.js' },
  api: {
    dockerfile: SITE,
    files: writeSite,
    folder: 'site',
    node: true,
    save: 'api/server.js',
    content: (text) => `// ${text}\n${server}`,
    seen: '/app/server.js',
  },
  page: {
    dockerfile: SITE,
    files: writeSite,
    folder: 'site',
    node: true,
    save: 'page/index.html',
    content: (text) => `<!-- ${text} -->\n${page}`,
    seen: '/app/public/index.html',
    stepReads: true,
    program: {
      folder: 'page',
      argv: ['node_modules/.bin/vite', 'build', '--logLevel', 'error', '--emptyOutDir', '--outDir'],
    },
  },
};

/** Pushes the base image with Node beside BASE, once. Returns its name. */
async function pushNode(base, strake) {
  const name = `${base.split('/')[0]}/bench/node:latest`;
  const context = `node=oci-layout://${await nodeBase('node')}`;
  execFileSync(process.execPath, [strake.cli, 'build', '-q', '--build-context', context, '-t', name, '--push', '-'], {
    input: 'FROM node\n',
    env: strake.env,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  return name;
}

/** Writes a load below DIR. STRAKE: the command and its environment, to make the base with Node. */
export async function prepare(dir, name, base, strake) {
  const { dockerfile, files, folder, node, save, content, seen } = LOADS[name];
  const from = node ? await pushNode(base, strake) : base;
  const root = dockerfile ? path.join(dir, folder ?? name) : writeWorkload(dir, name, base);
  files?.(root);
  const text = dockerfile ? dockerfile(from) : fs.readFileSync(path.join(root, 'Dockerfile'), 'utf8');
  const file = path.join(root, save);
  // In a file of its own, so that the workload stays as others measure it.
  const own = path.join(dir, `${name}.Dockerfile`);
  put(own, text.replace(/^(?:USER|CMD) .*\n/gm, '') + LOOK(seen));
  const write = (line) => fs.writeFileSync(file, content?.(line) ?? `${line}\n`);
  // Not a text of the run before: the first build is to make what the next ones go on from.
  write(`start ${Date.now()}`);
  return { root, file, own, write };
}
