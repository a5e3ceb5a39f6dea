import { describeConfig } from '../image.js';
import type { PlatformResult } from './output.js';

/**
 * The results with no time in their configs later than EPOCH (seconds since 1970). The history of the base is kept, as BuildKit keeps
 * it (patchImageConfig).
 */
export function clampConfigs(results: readonly PlatformResult[], epoch: number): readonly PlatformResult[] {
  const latest = new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
  const isLate = (time: string | undefined): boolean => time === undefined || Date.parse(time) > epoch * 1000;
  return results.map(({ chain, image }) => {
    const { config, baseHistory, layers } = image;
    const history = config.history?.map((entry, i) =>
      i >= baseHistory && isLate(entry.created) ? { ...entry, created: latest } : entry,
    );
    const created = isLate(config.created) ? latest : config.created;
    return { chain, image: { ...image, ...describeConfig({ ...config, created, history }, layers) } };
  });
}
