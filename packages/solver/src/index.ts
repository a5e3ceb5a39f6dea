export { Planner } from './planner.js';
export type { Planned } from './planner.js';
export { Solver } from './solver.js';
export type {
  CacheRecord,
  Input,
  KeyContext,
  KeyParts,
  MissReason,
  RecordAccess,
  RecordedParts,
  ResultCodec,
  RunContext,
  Solved,
  SolverHooks,
  SolverOptions,
  Vertex,
} from './types.js';
