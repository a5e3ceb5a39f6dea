export { createRegistryClient } from './client.js';
export type { RegistryClientOptions } from './client.js';
export type { RegistryErrorCode } from './errors.js';
export type { RetryPolicy } from './retry.js';
export type { Timeouts } from './transport.js';
export type { Credentials, CredentialStore, DistributionClient, RegistryClient, TransferOptions } from './types.js';
