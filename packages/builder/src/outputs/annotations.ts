import { formatPlatform, parsePlatform, type Platform } from '@strake/core';

import { builderError } from '../errors.js';

/** What an annotation is written into: a manifest, the index of several, or the descriptor that names one of them. */
export type AnnotationPlace = 'manifest' | 'index' | 'manifest-descriptor' | 'index-descriptor';

const PLACES: readonly AnnotationPlace[] = ['manifest', 'index', 'manifest-descriptor', 'index-descriptor'];

export interface Annotation {
  readonly place: AnnotationPlace;
  /** As `formatPlatform` writes it; undefined: all platforms. */
  readonly platform?: string | undefined;
  readonly key: string;
  readonly value: string;
}

/**
 * `--annotation [TYPE[[PLATFORM]][,TYPE…]:]KEY=VALUE`: what stands before a colon of the key are types. @throws StrakeError
 * `ARGUMENT_INVALID`, `PLATFORM_INVALID`
 */
export function parseAnnotation(text: string): Annotation[] {
  const [, name = '', value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  const colon = name.indexOf(':');
  const key = name.slice(colon + 1);
  if (value === undefined || key === '') {
    throw builderError('ARGUMENT_INVALID', `invalid annotation "${text}", expected key=value`, {
      hint: 'Write --annotation key=value.',
    });
  }
  if (colon < 0) return [{ place: 'manifest', key, value }];
  return name
    .slice(0, colon)
    .split(',')
    .map((type) => {
      const [, place, platform] = /^([a-z-]+)(?:\[(.*)\])?$/.exec(type) ?? [];
      return { ...placed(place ?? type, platform, text), key, value };
    });
}

/** The `annotation-TYPE[PLATFORM].KEY=VALUE` among an output's attributes. @throws StrakeError as {@link parseAnnotation} */
export function annotationAttributes(attributes: Readonly<Record<string, string>>): Annotation[] {
  return Object.entries(attributes).flatMap(([name, value]) => {
    const [, place = 'manifest', platform, key] =
      /^annotation(?:-([a-z-]+))?(?:\[([^\]]*)\])?\.(.+)$/s.exec(name) ?? [];
    return key === undefined ? [] : [{ ...placed(place, platform, name), key, value }];
  });
}

function placed(place: string, platform: string | undefined, text: string): Pick<Annotation, 'place' | 'platform'> {
  const known = PLACES.find((one) => one === place);
  if (known === undefined) {
    throw builderError('ARGUMENT_INVALID', `unknown annotation type "${place}" in "${text}"`, {
      hint: `It is one of ${PLACES.join(', ')}.`,
    });
  }
  return { place: known, ...(platform ? { platform: formatPlatform(parsePlatform(platform)) } : {}) };
}

/** Whether any is for an index, of whatever platform. */
export function areForIndex(annotations: readonly Annotation[]): boolean {
  return annotations.some(({ place }) => place === 'index' || place === 'index-descriptor');
}

/** Those for one place, as they are written there; undefined where there are none. */
export function annotationsFor(
  annotations: readonly Annotation[],
  place: AnnotationPlace,
  platform?: Platform,
): Readonly<Record<string, string>> | undefined {
  const wanted = platform && formatPlatform(platform);
  const found = annotations.filter((one) => one.place === place && (one.platform ?? wanted) === wanted);
  return found.length === 0 ? undefined : Object.fromEntries(found.map(({ key, value }) => [key, value]));
}
