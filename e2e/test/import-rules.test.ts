import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import glob from 'fast-glob';
import ts from 'typescript';
import { ROOT } from './support/repository.js';

/** What each package may import; `type` means: with `import type` only. */
const RULES: Readonly<Record<string, Readonly<Record<string, 'value' | 'type'>>>> = {
  core: {},
  parser: { core: 'value' },
  solver: { core: 'value' },
  sys: { core: 'value' },
  registry: { core: 'value' },
  store: { core: 'value', sys: 'value' },
  runtime: { core: 'value', sys: 'value' },
  builder: { core: 'value', parser: 'value', solver: 'value', store: 'type', registry: 'type', runtime: 'type' },
  engine: {
    ...{ core: 'value', parser: 'value', solver: 'value', sys: 'value' },
    ...{ store: 'value', registry: 'value', runtime: 'value', builder: 'value' },
  },
  cli: { core: 'value', engine: 'value', parser: 'value' },
};

/** Packages that do no input or output of their own. */
const PURE = ['parser', 'solver'];
const IO = /^node:(?:fs|child_process|net|http|https|http2|dgram|tls|worker_threads|cluster)(?:\/|$)/;

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly line: number;
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  const clause = node.importClause;
  if (!clause) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  if (clause.name || !named || !ts.isNamedImports(named)) return false;
  return named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
}

/** Every import of a file: declarations, re-exports, `import()` in code and in types. */
function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (!specifier || !ts.isStringLiteral(specifier)) return;
    const { line } = source.getLineAndCharacterOfPosition(node.getStart());
    found.push({ specifier: specifier.text, typeOnly, line: line + 1 });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, isTypeOnly(node));
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

interface PackageJson {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
}

function packageJson(name: string): PackageJson {
  return JSON.parse(readFileSync(path.join(ROOT, 'packages', name, 'package.json'), 'utf8')) as PackageJson;
}

describe('import rules', () => {
  const violations = (check: (name: string, file: string, found: Import) => string | undefined): string[] =>
    Object.keys(RULES).flatMap((name) =>
      glob.sync('src/**/*.ts', { cwd: path.join(ROOT, 'packages', name), absolute: true }).flatMap((file) =>
        importsOf(file).flatMap((found) => {
          const why = check(name, file, found);
          return why === undefined ? [] : [`${path.relative(ROOT, file)}:${found.line}: ${found.specifier}: ${why}`];
        }),
      ),
    );

  it('cover every package', () => {
    const names = glob.sync('*', { cwd: path.join(ROOT, 'packages'), onlyDirectories: true });
    assert.deepEqual(names.sort(), Object.keys(RULES).sort());
  });

  it('packages import only those below them', () => {
    const found = violations((name, _file, { specifier, typeOnly }) => {
      const other = /^@strake\/([^/]+)/.exec(specifier)?.[1];
      if (other === undefined) return undefined;
      const allowed = RULES[name]?.[other];
      if (allowed === undefined) return `${name} may not import ${other}`;
      return allowed === 'type' && !typeOnly ? `${name} may import only types of ${other}` : undefined;
    });
    assert.deepEqual(found, []);
  });

  it('packages have one door', () => {
    const found = violations((_name, _file, { specifier }) =>
      /^@strake\/[^/]+\/|^\.\.?\/.*\b(?:dist|packages)\//.test(specifier)
        ? 'import what the package exports'
        : undefined,
    );
    assert.deepEqual(found, []);
    for (const name of Object.keys(RULES)) {
      const doors = Object.keys(packageJson(name).exports).filter((door) => door !== './package.json');
      assert.ok(
        doors.every((door) => door === '.' || door === './testing'),
        `${name}: ${doors.join(', ')}`,
      );
    }
  });

  it('relative imports stay in their package, and name the compiled file', () => {
    const found = violations((name, file, { specifier }) => {
      if (!specifier.startsWith('.')) return undefined;
      const target = path.resolve(path.dirname(file), specifier);
      if (!target.startsWith(path.join(ROOT, 'packages', name, 'src') + path.sep)) return 'leads out of the package';
      return specifier.endsWith('.js') ? undefined : 'must end with .js';
    });
    assert.deepEqual(found, []);
  });

  it('everything else is declared in package.json, and built-in modules begin with node:', () => {
    const found = violations((name, _file, { specifier, typeOnly }) => {
      if (/^(?:node:|\.)/.test(specifier)) return undefined;
      const module = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      const declared = packageJson(name).dependencies?.[module] !== undefined;
      return declared || typeOnly ? undefined : `${name} does not depend on ${module}`;
    });
    assert.deepEqual(found, []);
  });

  it('core needs nothing, FFI is in sys only, parser and solver do no I/O', () => {
    assert.deepEqual(Object.keys(packageJson('core').dependencies ?? {}), []);
    const found = violations((name, _file, { specifier }) => {
      if (specifier === 'koffi' && name !== 'sys') return 'FFI belongs into sys';
      return PURE.includes(name) && IO.test(specifier) ? `${name} does no I/O` : undefined;
    });
    assert.deepEqual(found, []);
  });
});

describe('files', () => {
  it('have at most 400 lines', () => {
    const files = glob.sync(['packages/*/{src,test}/**/*.ts', 'e2e/test/**/*.ts', 'scripts/*'], { cwd: ROOT });
    const long = files.flatMap((file) => {
      const lines = readFileSync(path.join(ROOT, file), 'utf8').trimEnd().split('\n').length;
      return lines > 400 ? [`${file}: ${lines} lines`] : [];
    });
    assert.deepEqual(long, []);
  });

  it('have kebab-case names', () => {
    const files = glob.sync('packages/*/{src,test}/**/*.ts', { cwd: ROOT });
    const named = (file: string): boolean =>
      /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|d))?\.ts$/.test(path.basename(file));
    assert.deepEqual(
      files.filter((file) => !named(file)),
      [],
    );
  });

  it('silence no check', () => {
    const files = glob.sync(['packages/*/{src,test}/**/*.ts', 'e2e/test/**/*.ts'], { cwd: ROOT });
    const silenced = new RegExp(['@ts-(?:ignore|expect-error|nocheck)', 'eslint-' + 'disable'].join('|'));
    assert.deepEqual(
      files.filter(
        (file) => !file.endsWith('import-rules.test.ts') && silenced.test(readFileSync(path.join(ROOT, file), 'utf8')),
      ),
      [],
    );
  });
});
