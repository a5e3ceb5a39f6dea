import type { Engine } from '@strake/engine';
import { engineOptions } from './args/engine-flags.js';
import type { Arguments } from './args/parse.js';
import type { Io } from './io.js';

/** What WORK makes of an engine that is closed afterwards, whatever happens. */
export async function withEngine<T>(args: Arguments, io: Io, work: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await io.createEngine(engineOptions(args));
  try {
    return await work(engine);
  } finally {
    await engine.close();
  }
}
