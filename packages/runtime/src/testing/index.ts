import { fileURLToPath } from 'node:url';

/**
 * The beginning of a command that runs the rest with the rights that root has in a container as Docker makes it by default:
 * fourteen capabilities, and a filter that forbids mounts and namespaces. Needs to be run by root.
 */
export function plainContainerCommand(): readonly string[] {
  return [process.execPath, fileURLToPath(new URL('./plain-container-main.js', import.meta.url))];
}
