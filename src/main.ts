import { isServiceError, messageOf } from './errors.ts'

/** Nouns whose commands work on files or on the database itself; all others ask the service. */
const FILE_NOUNS = new Set(['migrate', 'kek', 'admin-token'])

/** Answers an exit code, or undefined while the service goes on. Loads only what the command needs. */
async function main(argv: readonly string[]): Promise<number | undefined> {
  const [command = '', ...rest] = dataDirLast(argv)
  if (command === 'serve') {
    const { serve } = await import('./serve.ts')
    return serve(rest, process.env)
  }
  if (FILE_NOUNS.has(command)) {
    const { fileCommand } = await import('./compose-commands.ts')
    const run = fileCommand([command, ...rest])
    if (run !== undefined) return run(process.env)
  }
  endWithReader()
  const { runCli } = await import('./cli/main.ts')
  return runCli(argv, process.env)
}

/** A reader that has seen enough (`entente … | head`) closes the pipe, which is no failure of the command. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
}

/** `--data-dir DIR` may stand before any command, as the other global options do. */
function dataDirLast(argv: readonly string[]): readonly string[] {
  const [first = '', ...rest] = argv
  if (first === '--data-dir') return [...rest.slice(1), first, ...rest.slice(0, 1)]
  return first.startsWith('--data-dir=') ? [...rest, first] : argv
}

function explain(error: unknown): string {
  if (isServiceError(error)) {
    return `entente: ${error.message}\n${error.next === undefined ? '' : `next: ${error.next}\n`}`
  }
  return `entente: ${messageOf(error)}\n`
}

try {
  const code = await main(process.argv.slice(2))
  if (code !== undefined) process.exitCode = code
} catch (error) {
  process.stderr.write(explain(error))
  process.exitCode = isServiceError(error) ? 1 : 2
}
