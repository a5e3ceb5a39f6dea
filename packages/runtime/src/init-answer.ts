/** What a first process of our own tells when all that is left to do is to become the program. */
export const BECOMING = '\n';
