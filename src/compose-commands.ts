import { parseArgs } from 'node:util'
import { databaseOptions, migrateDatabase } from './compose-base.ts'
import type { Config } from './config.ts'
import { openDatabase } from './db/connect.ts'
import { createKekFile } from './db/kek-file.ts'
import { createLogger } from './http/log.ts'

/** Reads the configuration with these flags applied. */
export type ReadConfig = (flags: readonly string[]) => Config

/** A command that works on files or on the database itself instead of asking the service. */
export type FileCommand = (readConfig: ReadConfig) => Promise<number>

/** `entente migrate`: brings the database to the newest migration and says what was applied. */
export async function migrateCommand(config: Config): Promise<number> {
  const log = createLogger({ level: 'warn' })
  const database = await openDatabase(databaseOptions(config, log))
  try {
    const applied = await migrateDatabase(config, database, log)
    const said = applied.length === 0 ? 'nothing to apply' : `applied ${applied.join(', ')}`
    process.stdout.write(`${said}\n`)
    return 0
  } finally {
    await database.close()
  }
}

/** The command among `kek create` and `admin-token reset` that the arguments name, if they name one. */
export function operatorFileCommand(argv: readonly string[]): FileCommand | undefined {
  if (argv.includes('--help') || argv.includes('-h')) return undefined
  const [noun, verb, ...rest] = argv
  if (noun === 'kek' && verb === 'create') return () => kekCreate(rest)
  return undefined
}

async function kekCreate(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { out: { type: 'string' } } })
  if (values.out === undefined) {
    process.stderr.write('usage: entente kek create --out FILE\n')
    return 2
  }
  await createKekFile(values.out)
  process.stdout.write(
    `wrote ${values.out} (0600); keep a copy apart from the database: without it no key in it can be opened\nnext: ENTENTE_KEK_FILE=${values.out} entente serve\n`,
  )
  return 0
}
