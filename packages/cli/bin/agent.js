'use strict';
// The agent's program: see packages/engine/src/agent-client.ts, which starts it.
require('./strake.js').load('agent.cjs');
