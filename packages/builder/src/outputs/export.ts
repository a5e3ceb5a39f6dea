import { builderError } from '../errors.js';
import { storeImage } from './local-image.js';
import { isTrue, type OutputContext, type OutputResult, type PlatformResult } from './output.js';

/** One `--output`, as given. */
export interface OutputSpec {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Brings a build's result where an `--output` asks. @throws StrakeError `OUTPUT_INVALID` */
export async function exportResult(
  { type, attributes }: OutputSpec,
  given: readonly PlatformResult[],
  context: OutputContext,
): Promise<OutputResult> {
  const isImage = ['image', 'registry', 'oci', 'docker'].includes(type);
  if (isImage && given.some(({ image }) => !image.config.architecture)) throw withoutPlatform();
  const results = isImage ? await dated(given, attributes, context) : given;
  switch (type) {
    case 'image':
      return isTrue(attributes['push'])
        ? (await import('./push.js')).pushImage(results, attributes, context)
        : storeImage(results, attributes, context);
    case 'registry':
      return (await import('./push.js')).pushImage(results, attributes, context);
    case 'oci':
    case 'docker':
      return (await import('./archive.js')).writeArchive(type, results, attributes, context);
    case 'local':
      return (await import('./file-tree.js')).writeTree(results, attributes, context);
    case 'tar':
      return (await import('./file-tree.js')).writeTreeTar(results, attributes, context);
    case 'cacheonly':
      return { names: [] };
    default:
      throw builderError('OUTPUT_INVALID', `unknown output type "${type}"`, {
        hint: 'Strake knows image, registry, oci, docker, local, tar and cacheonly.',
      });
  }
}

/** BuildKit's words: invalid image config for export: missing os. */
function withoutPlatform(): Error {
  return builderError('OUTPUT_INVALID', 'the image has no platform: missing os and architecture in its config', {
    hint: 'Where a --build-context of files takes the place of a stage, nothing says for which platform the image is. Give --platform, or FROM scratch and COPY --from=NAME.',
  });
}

/** The results as SOURCE_DATE_EPOCH and `rewrite-timestamp` want their times. @throws StrakeError `OUTPUT_INVALID` */
async function dated(
  results: readonly PlatformResult[],
  attributes: Readonly<Record<string, string>>,
  context: OutputContext,
): Promise<readonly PlatformResult[]> {
  if (context.epoch === undefined && attributes['source-date-epoch'] === undefined) return results;
  const { outputEpoch, rewriteTimes } = await import('./rewrite-times.js');
  const epoch = outputEpoch(attributes, context);
  if (epoch === undefined) return results;
  const { clampConfigs } = await import('./clamp-config.js');
  const clamped = clampConfigs(results, epoch);
  return isTrue(attributes['rewrite-timestamp']) ? rewriteTimes(clamped, attributes, context) : clamped;
}
