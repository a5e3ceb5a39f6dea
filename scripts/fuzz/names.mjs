/** The targets, in the order in which they run. */
export const NAMES = [
  'tar',
  'layer',
  'archive',
  'context',
  'manifest',
  'image',
  'layout',
  'challenge',
  'ignore',
  'dockerfile',
  'record',
  'credentials',
  'names',
];
