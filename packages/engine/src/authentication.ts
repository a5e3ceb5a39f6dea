import type { LoginOptions, LoginResult, LogoutOptions } from '@strake/registry';

/** Checks credentials at the registry and stores them. @throws StrakeError */
export async function login(options: LoginOptions): Promise<LoginResult> {
  return (await import('@strake/registry')).login(options);
}

/** Forgets credentials; whether there were any. @throws StrakeError */
export async function logout(options: LogoutOptions): Promise<boolean> {
  return (await import('@strake/registry')).logout(options);
}
