// Makes one self-contained declaration file of each door of the published package, out of what tsc -b has written: everything that
// the door exports, and what that refers to, from whatever package of this repository. Types of Node and of ECMAScript stay names.
// usage: node scripts/roll-up-types.mjs FOLDER [REPORT]   writes index.d.ts and parser.d.ts, and what they declare, without comments
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import prettier from 'prettier';
import ts from 'typescript';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const DOORS = { index: 'strake', parser: 'strake/parser' };

const entryOf = (door) => path.join(root, 'packages/cli/dist/src', `${door}.d.ts`);
const program = ts.createProgram(Object.keys(DOORS).map(entryOf), {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  types: ['node'],
  typeRoots: [path.join(root, 'node_modules/@types')],
});
const checker = program.getTypeChecker();

const resolved = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
const isOurs = (declaration) => {
  const file = program.getSourceFileOfDeclaration?.(declaration) ?? declaration.getSourceFile();
  return file.fileName.startsWith(path.join(root, 'packages') + path.sep);
};
/** The statement that a declaration is: of a constant the whole `const`. */
const statementOf = (declaration) => (ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration);

/** Calls VISIT with each name in NODE and the symbol that it stands for, where that is a declaration of ours. */
function eachReference(node, visit) {
  const look = (child) => {
    if (ts.isImportTypeNode(child)) throw new Error(`an import type in ${child.getSourceFile().fileName}`);
    if (ts.isIdentifier(child)) {
      const symbol = checker.getSymbolAtLocation(child);
      const target = symbol && resolved(symbol);
      const [declaration] = target?.declarations ?? [];
      const outside = declaration && ts.isSourceFile(statementOf(declaration).parent) && isOurs(declaration);
      if (outside && !ts.isSourceFile(declaration)) visit(child, target);
      else if (symbol && symbol !== target)
        throw new Error(`${child.text} is imported from elsewhere: ${child.getSourceFile().fileName}`);
    }
    ts.forEachChild(child, look);
  };
  look(node);
}

/** All that a door exports, and what that needs: symbols with their names, unique. */
function collect(door) {
  const source = program.getSourceFile(entryOf(door));
  if (!source) throw new Error(`${entryOf(door)} is missing: run tsc -b first`);
  const names = new Map();
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) {
    names.set(resolved(symbol), { name: symbol.name, exported: true });
  }
  const taken = new Set([...names.values()].map(({ name }) => name));
  const todo = [...names.keys()];
  for (let symbol = todo.pop(); symbol; symbol = todo.pop()) {
    for (const declaration of symbol.declarations ?? []) {
      eachReference(statementOf(declaration), (_node, target) => {
        if (names.has(target)) return;
        let name = target.name;
        while (taken.has(name)) name += '_';
        taken.add(name);
        names.set(target, { name, exported: false });
        todo.push(target);
      });
    }
  }
  return names;
}

/** The text of a declaration under its new names. */
function textOf(declaration, names, exported) {
  const statement = statementOf(declaration);
  const file = statement.getSourceFile();
  const start = statement.getStart(file, true);
  const edits = [];
  for (const modifier of statement.modifiers ?? []) {
    if (![ts.SyntaxKind.ExportKeyword, ts.SyntaxKind.DeclareKeyword].includes(modifier.kind)) continue;
    edits.push({ from: modifier.getStart(file), to: modifier.end + 1, text: '' });
  }
  const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
  const keyword = (exported ? 'export ' : '') + (isType ? '' : 'declare ');
  edits.push({ from: statement.getStart(file), to: statement.getStart(file), text: keyword });
  eachReference(statement, (node, target) => {
    const name = names.get(target)?.name;
    if (name !== undefined && name !== node.text) edits.push({ from: node.getStart(file), to: node.end, text: name });
  });
  edits.sort((a, b) => b.from - a.from || b.to - a.to);
  let text = file.text.slice(start, statement.end);
  for (const { from, to, text: by } of edits) text = text.slice(0, from - start) + by + text.slice(to - start);
  return text;
}

function rollUp(door) {
  const names = collect(door);
  const ordered = [...names].sort(([, a], [, b]) => b.exported - a.exported || (a.name < b.name ? -1 : 1));
  const parts = ordered.flatMap(([symbol, { exported }]) =>
    (symbol.declarations ?? []).map((declaration) => textOf(declaration, names, exported)),
  );
  return `${parts.join('\n\n')}\n\nexport {};\n`;
}

/** Declarations without their comments. */
function withoutComments(text) {
  const source = ts.createSourceFile('door.d.ts', text, ts.ScriptTarget.ES2022, true);
  const printed = ts.createPrinter({ removeComments: true }).printFile(source);
  return printed.replace(/\nexport \{\s*\};\n$/, '\n');
}

const [folder, report] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/roll-up-types.mjs FOLDER [REPORT]');
  process.exit(2);
}
await mkdir(folder, { recursive: true });
const parts = [
  '# What the package exports\n',
  'Made by `npm run api`. CI compares: a change here is a change for those who use the library.\n',
];
for (const [door, name] of Object.entries(DOORS)) {
  const text = rollUp(door);
  await writeFile(path.join(folder, `${door}.d.ts`), text);
  parts.push(`## ${name}\n`, `\`\`\`ts\n${withoutComments(text)}\`\`\`\n`);
}
if (report !== undefined) {
  const options = await prettier.resolveConfig(path.join(root, 'packages/cli/api.md'));
  await writeFile(report, await prettier.format(parts.join('\n'), { ...options, parser: 'markdown' }));
}
