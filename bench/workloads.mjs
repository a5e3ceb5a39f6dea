// The workloads: a Dockerfile and its context each, the same bytes every time.
import fs from 'node:fs';
import path from 'node:path';

const TEXT = 'export const answer = (question) => question.length;\n';

/** Numbers of a linear congruential generator: the same on every machine. */
function generator(seed) {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
}

/** SIZE bytes, half text and half noise: they compress to about one half, as sources and binaries together do. */
function content(next, size) {
  const bytes = Buffer.alloc(size, TEXT);
  for (let at = size >> 1; at + 4 <= size; at += 4) bytes.writeUInt32LE(next(), at);
  return bytes;
}

function put(file, bytes) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, bytes);
}

/** COUNT files of 200 to 8,000 bytes, a hundred to a folder. */
function smallFiles(root, count, next) {
  for (let i = 0; i < count; i++) {
    const file = path.join(root, `d${i % 20}`, `p${Math.floor(i / 100)}`, `f${i % 100}.js`);
    put(file, content(next, 200 + (next() % 7800)));
  }
}

function largeFile(file, mebibytes, next) {
  const fd = fs.openSync(file, 'w');
  for (let i = 0; i < mebibytes; i++) fs.writeSync(fd, content(next, 1 << 20));
  fs.closeSync(fd);
}

const APP = (base) => `FROM ${base} AS deps
WORKDIR /app
COPY package.json ./
RUN for d in $(seq 1 100); do mkdir -p node_modules/p$d; for f in $(seq 1 40); do echo "module.exports=$d$f" > node_modules/p$d/f$f.js; done; done
FROM deps AS build
COPY src ./src
RUN mkdir dist && cat src/*.js > dist/bundle.js && sha256sum dist/bundle.js > dist/sum
FROM ${base}
WORKDIR /app
ENV NODE_ENV=production
RUN useradd -m app
COPY --from=deps /app/node_modules ./node_modules
COPY --from=build --chown=app:app /app/dist ./dist
USER app
EXPOSE 3000
CMD ["cat", "dist/sum"]
`;

const TREE = (base) => `FROM ${base}
RUN mkdir /t && cd /t && for d in $(seq 1 500); do mkdir $d; for f in 0 1 2 3 4 5 6 7 8 9; do for g in 0 1 2 3 4 5 6 7 8 9; do echo $d$f$g > $d/$f$g; done; done; done
RUN echo changed > /t/250/55
RUN rm -rf /t/100
`;

const lines = (count, line) => Array.from({ length: count }, (_, i) => line(i)).join('\n');

/** What each is for, its Dockerfile, its files, and the file that the touched build changes. */
export const WORKLOADS = {
  app: {
    about: 'a service in three stages: 4,000 files made by a step, 200 copied, both taken over into the last stage',
    dockerfile: APP,
    files: (root, next) => {
      put(`${root}/package.json`, '{"name":"app"}\n');
      for (let i = 0; i < 200; i++) put(`${root}/src/f${i}.js`, content(next, 4000));
    },
    touch: 'src/f7.js',
  },
  ctx: {
    about: 'COPY of 50,000 small files, 200 MB',
    dockerfile: (base) => `FROM ${base}\nCOPY . /src\n`,
    files: (root, next) => smallFiles(`${root}/src`, 50_000, next),
    touch: 'src/d3/p3/f3.js',
    push: true,
  },
  big: {
    about: 'COPY of one file of 1 GiB',
    dockerfile: (base) => `FROM ${base}\nCOPY blob /blob\n`,
    files: (root, next) => largeFile(`${root}/blob`, 1024, next),
    push: true,
  },
  chain: {
    about: '30 RUN steps that write one file each',
    dockerfile: (base) => `FROM ${base}\n${lines(30, (i) => `RUN echo ${i} > /step${i}`)}\n`,
  },
  fan: {
    about: '8 stages that sleep a second each, and one that copies from all of them',
    dockerfile: (base) =>
      `${lines(8, (i) => `FROM ${base} AS s${i}\nRUN sleep 1 && echo ${i} > /out${i}`)}\nFROM ${base}\n${lines(8, (i) => `COPY --from=s${i} /out${i} /`)}\n`,
  },
  tree: {
    about: 'a RUN that writes 50,000 files, one that changes one of them, one that removes 100',
    dockerfile: TREE,
  },
  huge: {
    about: 'COPY of one sparse-free file of 10 GiB (memory only)',
    dockerfile: (base) => `FROM ${base}\nCOPY blob /blob\n`,
    files: (root, next) => largeFile(`${root}/blob`, 10 * 1024, next),
    extra: true,
  },
  many: {
    about: 'COPY of 500,000 small files (memory only)',
    dockerfile: (base) => `FROM ${base}\nCOPY . /src\n`,
    files: (root) => {
      for (let i = 0; i < 500_000; i++) {
        if (i % 1000 === 0) fs.mkdirSync(`${root}/d${i / 1000}`, { recursive: true });
        fs.writeFileSync(`${root}/d${Math.floor(i / 1000)}/file-${i % 1000}.txt`, `${i}\n`);
      }
    },
    extra: true,
  },
};

/** Writes a workload to DIR/NAME, unless it is there for the same BASE. */
export function writeWorkload(dir, name, base) {
  const root = path.join(dir, name);
  const { dockerfile, files } = WORKLOADS[name];
  const text = dockerfile(base);
  const marker = path.join(dir, `.${name}`);
  if (fs.existsSync(marker) && fs.readFileSync(marker, 'utf8') === text) return root;
  fs.rmSync(root, { recursive: true, force: true });
  put(path.join(root, 'Dockerfile'), text);
  files?.(root, generator(20260801));
  fs.writeFileSync(marker, text);
  return root;
}
