import { runNativeInit } from './native-init.js';

runNativeInit();
