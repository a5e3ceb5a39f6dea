/** Joins the cgroups that the words up to `--` name, and becomes what follows. */
const JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"';

/** The beginning of a command that joins cgroups by their FOLDERS and becomes the program that follows; empty where there are none. */
export function joinCgroups(folders: Iterable<string>): readonly string[] {
  const joined = [...folders];
  return joined.length === 0 ? [] : ['/bin/sh', '-c', JOIN, 'sh', ...joined, '--'];
}
