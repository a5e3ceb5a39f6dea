import type { CommandEntry } from './command.js';

/** All commands, in the order of the help. */
export const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map<string, CommandEntry>([
  [
    'build',
    { summary: 'Build an image from a Dockerfile', load: async () => (await import('./commands/build.js')).build },
  ],
  [
    'run',
    { summary: 'Run an image in an ephemeral container', load: async () => (await import('./commands/run.js')).run },
  ],
  [
    'watch',
    {
      summary: 'Build, and build again as files are saved',
      load: async () => (await import('./commands/watch.js')).watchCommand,
    },
  ],
  [
    'push',
    { summary: 'Push an image to its registry', load: async () => (await import('./commands/transfer.js')).push },
  ],
  [
    'pull',
    { summary: 'Pull an image from its registry', load: async () => (await import('./commands/transfer.js')).pull },
  ],
  ['save', { summary: 'Write an image to an archive', load: async () => (await import('./commands/archive.js')).save }],
  [
    'load',
    {
      summary: 'Bring the images of an archive into the store',
      load: async () => (await import('./commands/archive.js')).load,
    },
  ],
  [
    'images',
    { summary: 'List the images in the store', load: async () => (await import('./commands/images.js')).images },
  ],
  [
    'inspect',
    { summary: 'Show what an image consists of', load: async () => (await import('./commands/inspect.js')).inspect },
  ],
  [
    'history',
    { summary: 'Show the steps that made an image', load: async () => (await import('./commands/history.js')).history },
  ],
  ['tag', { summary: 'Give an image a further name', load: async () => (await import('./commands/names.js')).tag }],
  ['rm', { summary: 'Remove names of images', load: async () => (await import('./commands/names.js')).rm }],
  ['prune', { summary: 'Remove build cache', load: async () => (await import('./commands/prune.js')).prune }],
  ['df', { summary: 'Say what takes the space of the store', load: async () => (await import('./commands/df.js')).df }],
  [
    'check',
    {
      summary: "Check a Dockerfile by BuildKit's rules",
      load: async () => (await import('./commands/check.js')).check,
    },
  ],
  [
    'explain',
    { summary: 'Say why the steps of a build ran', load: async () => (await import('./commands/explain.js')).explain },
  ],
  [
    'login',
    { summary: 'Keep credentials for a registry', load: async () => (await import('./commands/auth.js')).login },
  ],
  [
    'logout',
    { summary: 'Forget the credentials for a registry', load: async () => (await import('./commands/auth.js')).logout },
  ],
  [
    'doctor',
    {
      summary: 'Say what this machine can do, and what is used',
      load: async () => (await import('./commands/doctor.js')).doctor,
    },
  ],
  ['version', { summary: 'Print the version', load: async () => (await import('./commands/version.js')).version }],
]);
