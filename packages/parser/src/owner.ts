/** One side of `--chown`: a number, or a name to be looked up in the image. */
export type OwnerId = { readonly id: number } | { readonly name: string };

/** The value of `--chown`. Without a group it is for the caller to find: that of the user in the image's passwd, or the user's number. */
export interface Owner {
  readonly user: OwnerId;
  readonly group: OwnerId | undefined;
}

function ownerId(text: string): OwnerId {
  if (text === 'root') return { id: 0 };
  const value = /^[+-]?\d{1,20}$/.test(text) ? Number(text) : NaN;
  if (!(value >= -(2 ** 31) && value < 2 ** 31)) return { name: text };
  return { id: value === -1 ? 0 : value >>> 0 }; // chown(2) takes -1 for no change, of files that root has made
}

/** Splits the value of `--chown`, expanded: `user`, `user:group`, `:group` (user name empty, which means 0); numbers (with a sign, as BuildKit takes them) or names; `root` is 0. */
export function parseOwner(text: string): Owner {
  const colon = text.indexOf(':');
  if (colon < 0) return { user: ownerId(text), group: undefined };
  return { user: ownerId(text.slice(0, colon)), group: ownerId(text.slice(colon + 1)) };
}
