export type { TestAuth, TestGuard, TokenAsked } from './auth.js';
export { memoryBlob } from './contents.js';
export type { TestBlob, TestContents, TestManifest, TestRepository } from './contents.js';
export { startTestRegistry } from './registry.js';
export type { Interceptor, SeenRequest, TestRegistry, TestRegistryOptions } from './registry.js';
export type { TestUploads } from './uploads.js';
