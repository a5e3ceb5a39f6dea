/** Attributes that would tell overlayfs, or us, what is not so. */
const OWN_XATTRS = /^(trusted|user)\.(overlay|strake)\./;

/** The attributes of a file that go into a layer; undefined where there are none. */
export function withoutOwn(xattrs: Readonly<Record<string, string>> | undefined): Record<string, string> | undefined {
  if (!xattrs) return undefined;
  const kept = Object.entries(xattrs).filter(([name]) => name !== '' && name.length < 256 && !OWN_XATTRS.test(name));
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}
