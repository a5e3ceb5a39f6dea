import type { Loan } from '@strake/runtime';
import fs from 'node:fs';

/**
 * Writes down which folders of the store are moved into the root of a step, beside that root as the store expects it
 * (`snapshots/<id>.lent`): if this process does not live to move them back, whoever removes the root does.
 */
export function noteLoans(): (root: string, loan: Loan | undefined) => void {
  const open = new Map<string, readonly Loan[]>();
  return (root, loan) => {
    const note = `${root}.lent`;
    if (loan === undefined) {
      if (open.delete(root)) fs.rmSync(note, { force: true });
      return;
    }
    const loans = [...(open.get(root) ?? []), loan];
    open.set(root, loans);
    fs.writeFileSync(`${note}.new`, JSON.stringify(loans), { mode: 0o600 });
    fs.renameSync(`${note}.new`, note);
  };
}
