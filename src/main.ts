import { isServiceError, messageOf } from './errors.ts'

/** Nouns whose commands work on files or on the database itself; all others ask the service. */
const FILE_NOUNS = new Set(['migrate', 'kek', 'admin-token'])

/** Answers an exit code, or undefined while the service goes on. Loads only what the command needs. */
async function main(argv: readonly string[]): Promise<number | undefined> {
  const [command = '', ...rest] = argv
  if (command === 'serve') {
    const { serve } = await import('./serve.ts')
    return serve(rest, process.env)
  }
  if (FILE_NOUNS.has(command)) {
    const { fileCommand } = await import('./compose-commands.ts')
    const run = fileCommand(argv)
    if (run !== undefined) return run(process.env)
  }
  const { runCli } = await import('./cli/main.ts')
  return runCli(argv, process.env)
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
