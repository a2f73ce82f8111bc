import { basename, delimiter, dirname, isAbsolute, relative, sep } from 'node:path'
import { inShell } from '../errors.ts'

/** How this program was started. */
export interface Started {
  /** Path of the executable, as the process sees it. */
  readonly script: string | undefined
  /** The variable PATH. */
  readonly path: string | undefined
  readonly cwd: string
  readonly dataDir: string | undefined
  /** The mesh that was named with `--mesh`. */
  readonly mesh?: string | undefined
}

/**
 * The words to begin a command with so that it runs when it is pasted: the program as it was called, and the data
 * folder and the mesh that were named. `entente` where the program is on the path, or is not known.
 */
export function calledAs({ script, path, cwd, dataDir, mesh }: Started): string {
  const folder = dataDir === undefined ? '' : ` --data-dir ${inShell(dataDir)}`
  const flag = mesh === undefined ? folder : `${folder} --mesh ${mesh}`
  if (script === undefined || basename(script) !== 'entente') return `entente${flag}`
  const onPath = (path ?? '').split(delimiter).includes(dirname(script))
  return `${onPath ? 'entente' : nearest(script, cwd)}${flag}`
}

/** Indented commands of ours in a text, begun with `called`; what is meant for another machine stays as it is. */
export function asCalled(text: string, called: string): string {
  const [flag = '', folder] = / --data-dir ('(?:[^']|'\\'')*'|\S+)/.exec(called) ?? []
  // --data-dir would win over the token file, and the variable does not.
  const place = folder === undefined ? '' : `ENTENTE_DATA_DIR=${folder} `
  return text
    .replace(
      /^( {2,}(?:next: )?)(?:\.\/bin\/)?entente (?=[a-z])(.*)$/gm,
      (_all, indent: string, rest: string) => {
        const parts = rest.split(' && entente ').map((part) => {
          // A command that names its mesh itself keeps to that.
          const words = / --mesh /.test(part) ? called.replace(/ --mesh \S+/, '') : called
          return `${words} ${part}`
        })
        return indent + parts.join(' && ')
      },
    )
    .replace(
      /^( {2,})(ENTENTE_TOKEN_FILE=\S+) entente (?=[a-z])/gm,
      (_all, indent: string, token: string) =>
        `${indent}${place}${token} ${called.replace(flag, '')} `,
    )
}

function nearest(script: string, cwd: string): string {
  const way = relative(cwd, script)
  return way.startsWith('..') || isAbsolute(way) ? script : `.${sep}${way}`
}
