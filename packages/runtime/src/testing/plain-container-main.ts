import { becomeInPlainContainer } from './plain-container.js';

becomeInPlainContainer(process.argv.slice(2));
