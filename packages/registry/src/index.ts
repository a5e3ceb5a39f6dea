export { createRegistryClient } from './client.js';
export type { RegistryClientOptions } from './client.js';
export type { RegistryErrorCode } from './errors.js';
export type { RetryPolicy } from './retry.js';
export type { Timeouts } from './transport.js';
export type {
  Credentials,
  CredentialStore,
  DistributionClient,
  GrowingBlob,
  RegistryClient,
  TransferOptions,
} from './types.js';
export { createDockerCredentials } from './credentials.js';
export type { DockerCredentialsOptions } from './credentials.js';
export { login, logout } from './login.js';
export type { LoginOptions, LoginResult, LogoutOptions } from './login.js';
