export { abortable, cancelled, onAbort, throwIfAborted } from './abort.js';
export { bothEnded } from './both-ended.js';
export { bytesOfText, hasEscapedBytes, textOfBytes, wellFormed } from './byte-text.js';
export { viewOfBytes } from './byte-view.js';
export { collect, verified } from './bytes.js';
export type { ByteStream } from './bytes.js';
export { canonicalJson } from './canonical-json.js';
export { hexOf, isDigest, shortDigest } from './digest.js';
export type { Digest } from './digest.js';
export { errnoOf, isStrakeError, StrakeError } from './errors.js';
export type { SourceLocation, StrakeErrorFields } from './errors.js';
export type { ProgressEvent, ProgressSink } from './events.js';
export { fileIdentity, fileState } from './file-state.js';
export type { FileIdentity, FileState } from './file-state.js';
export { goQuote, goQuoteList } from './go-format.js';
export { digestOf, Hasher } from './hash.js';
export { Limiter } from './limiter.js';
export { isNestedDeeper } from './json-depth.js';
export { isIndexType, isManifestType, MediaType } from './oci.js';
export type {
  ContainerConfig,
  Descriptor,
  Healthcheck,
  HistoryEntry,
  ImageConfig,
  Index,
  Manifest,
  Platform,
} from './oci.js';
export { formatPlatform, hostPlatform, normalizePlatform, parsePlatform, selectPlatform } from './platform.js';
export { makeFolderNow, makeFolders } from './make-folders.js';
export { openPipe, readAtOnce } from './pipe.js';
export type { PipeOptions } from './pipe.js';
export { canonicalName, familiarName, parseReference } from './reference.js';
export type { ImageReference } from './reference.js';
export { createSocketRelay } from './socket-relay.js';
export type { SocketRelay } from './socket-relay.js';
export { storeRoot } from './store-root.js';
export { closest, didYouMean, editDistance, suggesting } from './suggest.js';
export { paxRecords, tarChecksumFits, tarNumber, tarText } from './tar-fields.js';
export { ZstdFrames } from './zstd-frames.js';
