import { lstat, readFile, rm } from 'node:fs/promises';

import { unlessMissing } from '../files.js';
import { FACTS } from '../journal.js';
import { journalFolder, type StoreLayout } from '../layout.js';
import { namesIn } from './disk.js';

const HOUR = 3_600_000;

/** What the notes of builds may take: milliseconds, files, bytes. */
export interface JournalLimits {
  readonly age: number;
  readonly notes: number;
  readonly bytes: number;
}

/** Nobody asks why a build of two months ago ran what it ran. */
const LIMITS: JournalLimits = { age: 60 * 24 * HOUR, notes: 1000, bytes: 64e6 };
/** So long facts may be without a note that speaks of them: that of a build that is still running. */
const GRACE = 24 * HOUR;

/** No note of few changes is larger. */
const MOST_OF_LIKE = 1 << 20;

interface NoteFile {
  readonly path: string;
  readonly name: string;
  readonly size: number;
  /** When it was written; of facts, or the newest note that speaks of them. */
  readonly used: number;
}

async function listFiles(layout: StoreLayout): Promise<NoteFile[]> {
  const folder = journalFolder(layout);
  const files: NoteFile[] = [];
  for (const name of await namesIn(folder)) {
    const path = `${folder}/${name}`;
    const stat = await unlessMissing(lstat(path));
    if (stat?.isFile()) files.push({ path, name, size: stat.size, used: stat.mtimeMs });
  }
  return files;
}

const newestFirst = (a: NoteFile, b: NoteFile): number => b.used - a.used || (a.name < b.name ? -1 : 1);

/** How many files the notes of builds are, and their bytes. */
export async function measureJournal(layout: StoreLayout): Promise<{ readonly count: number; readonly size: number }> {
  const files = await listFiles(layout);
  return { count: files.length, size: files.reduce((sum, { size }) => sum + size, 0) };
}

/**
 * Removes notes that are too old or too many, facts that no note speaks of, and, of more than LIMITS allow, what was noted longest
 * ago. Nothing depends on any of it, so that no build needs to be kept out meanwhile.
 */
export async function collectJournal(layout: StoreLayout, now: number, limits: JournalLimits = LIMITS): Promise<void> {
  const files = await listFiles(layout);
  const notes = files.filter(({ name }) => !name.startsWith(FACTS)).sort(newestFirst);
  const kept = new Set<NoteFile>();
  /** Of facts, by the name of their file. */
  const spokenOf = new Map<string, number>();
  let bytes = 0;
  for (const note of notes) {
    // Half of the room is for facts.
    if (kept.size >= limits.notes || now - note.used > limits.age || bytes + note.size > limits.bytes / 2) continue;
    const text = await unlessMissing(readFile(note.path, 'utf8'));
    if (text === undefined) continue;
    kept.add(note);
    bytes += note.size;
    for (const [, hex = ''] of text.matchAll(/sha256:([0-9a-f]{64})/g)) {
      const name = `${FACTS}${hex}`;
      if (!spokenOf.has(name)) spokenOf.set(name, note.used);
    }
  }
  await followLikes(files, spokenOf);
  const facts = files
    .filter(({ name }) => name.startsWith(FACTS))
    .map((file) => ({ ...file, used: spokenOf.get(file.name) ?? (now - file.used < GRACE ? file.used : -Infinity) }))
    .sort(newestFirst);
  for (const file of facts) {
    if (file.used === -Infinity || bytes + file.size > limits.bytes) continue;
    kept.add(file);
    bytes += file.size;
  }
  for (const file of [...notes, ...facts]) if (!kept.has(file)) await rm(file.path, { force: true });
}

/** Facts that are a few changes of others, `{"like":"sha256:..."`: these live as long as they do. */
async function followLikes(files: readonly NoteFile[], spokenOf: Map<string, number>): Promise<void> {
  for (const { path, name, size } of files) {
    const used = spokenOf.get(name);
    if (used === undefined || size > MOST_OF_LIKE) continue;
    const text = await unlessMissing(readFile(path, 'utf8'));
    const hex = text && /^\{"like":"sha256:([0-9a-f]{64})"/.exec(text)?.[1];
    if (hex) spokenOf.set(`${FACTS}${hex}`, Math.max(used, spokenOf.get(`${FACTS}${hex}`) ?? 0));
  }
}
