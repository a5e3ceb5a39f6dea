import { TarType, type TarHeader } from '../tar/header.js';

/** What an entry of a layer for Windows says of itself: FILE_ATTRIBUTE_DIRECTORY or _ARCHIVE, type bits of its mode, who may do what. */
interface Marks {
  readonly attributes: string;
  readonly typeBits: number;
  /** A self-relative SECURITY_DESCRIPTOR [MS-DTYP 2.4.6], in base64. */
  readonly security: string;
}

/**
 * O:BAG:SYD: in both; then (A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)(A;CI;DC;;;BU)
 * for folders, (A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU) for files: what a folder in the root of a drive has, and a file in there.
 */
const MARKS: ReadonlyMap<string, Marks> = new Map([
  [
    TarType.directory,
    {
      attributes: '16',
      typeBits: 0o040000,
      security:
        'AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAECAAAAAAAFIAAAACACAAAAAxQA/wEfAAEBAAAAAAAF' +
        'EgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAAAQAQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQAAAABAgAAAAAABSAAAAAhAgAA' +
        'AAIYAAIAAAABAgAAAAAABSAAAAAhAgAA',
    },
  ],
  [
    TarType.file,
    {
      attributes: '32',
      typeBits: 0o100000,
      security:
        'AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAF' +
        'EgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA==',
    },
  ],
]);

/** Whether an entry is not below one of the folders that such a layer consists of, but such a folder itself. */
function isTop(name: string): boolean {
  return !name.slice(0, -1).includes('/');
}

/** HEADER with all that Windows wants to know of an entry, as BuildKit writes it; links have a time alone. */
export function windowsHeader(header: TarHeader): TarHeader {
  const { name, type, mode, mtime, records = [] } = header;
  const marks = MARKS.get(type);
  const top = type === TarType.directory && isTop(name);
  const added: [string, string][] = [['LIBARCHIVE.creationtime', `${mtime}.0`]];
  if (marks) added.push(['MSWINDOWS.fileattr', marks.attributes]);
  if (marks && !top) added.push(['MSWINDOWS.rawsd', marks.security]);
  return {
    ...header,
    name: top ? name.slice(0, -1) : name,
    mode: mode | (marks?.typeBits ?? 0),
    records: [...records, ...added],
  };
}
