import { start } from './process.js';

void start();
