const NAMES = new Set(
  (
    'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU ' +
    'URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX'
  ).split(' '),
);

/**
 * Whether TEXT is a signal as STOPSIGNAL takes it (moby/sys/signal on Linux): any number but 0, or a name in any letter case, with or
 * without `SIG`; `RTMIN+1` to `RTMIN+15` and `RTMAX-14` to `RTMAX-1` too.
 */
export function isSignal(text: string): boolean {
  if (/^[-+]?\d{1,18}$/.test(text)) return Number(text) !== 0;
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (NAMES.has(name)) return true;
  const match = /^RT(MIN\+|MAX-)([1-9]|1[0-5])$/.exec(name);
  return match !== null && !(match[1] === 'MAX-' && match[2] === '15');
}
