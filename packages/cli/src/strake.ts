export { start } from './process.js';
