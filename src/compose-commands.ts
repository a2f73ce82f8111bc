import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createTokenFile, resetAdminToken } from './access/admin-token.ts'
import { databaseOptions, kekFile, migrateDatabase } from './compose-base.ts'
import { adminTokenFile } from './compose-parts.ts'
import type { Config } from './config.ts'
import { type Environment, readConfig } from './config-read.ts'
import { openDatabase } from './db/connect.ts'
import { createKekFile } from './db/kek-file.ts'
import { openKeyring } from './db/keyring.ts'
import { ServiceError } from './errors.ts'
import { createLogger } from './http/log.ts'

/** A command that works on files or on the database itself instead of asking the service. */
export type FileCommand = (environment: Environment) => Promise<number>

/** Brings the database to the newest migration and says what was applied. */
async function migrateCommand(config: Config): Promise<number> {
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

/** The command among `migrate`, `kek create`, `admin-token create` and `admin-token reset` that the arguments name, if they name one. */
export function fileCommand(argv: readonly string[]): FileCommand | undefined {
  if (argv.includes('--help') || argv.includes('-h')) return undefined
  const [noun, verb, ...rest] = argv
  if (noun === 'migrate') return (env) => migrateCommand(readConfig(argv.slice(1), env))
  if (noun === 'kek' && verb === 'create') return () => kekCreate(rest)
  if (noun === 'admin-token' && verb === 'create') return () => adminTokenCreate(rest)
  if (noun === 'admin-token' && verb === 'reset')
    return (env) => adminTokenReset(readConfig(rest, env))
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

async function adminTokenCreate(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { out: { type: 'string' } } })
  if (values.out === undefined) {
    process.stderr.write('usage: entente admin-token create --out FILE\n')
    return 2
  }
  await createTokenFile(values.out)
  process.stdout.write(
    `wrote ${values.out} (0600); the first start on a new database takes its admin token from it\nnext: ENTENTE_ADMIN_TOKEN_FILE=${values.out} entente serve\n`,
  )
  return 0
}

/** Works on the database itself, for whoever has its KEK; an embedded service must be stopped for it. */
async function adminTokenReset(config: Config): Promise<number> {
  if (config.DATABASE_URL === undefined && !existsSync(join(config.DATA_DIR, 'pg'))) {
    throw new ServiceError(
      'CONFIGURATION_INVALID',
      `no service was ever started with the data folder ${config.DATA_DIR}`,
      { next: 'name its folder with --data-dir, or its database with ENTENTE_DATABASE_URL' },
    )
  }
  const log = createLogger({ level: 'warn' })
  const database = await openDatabase(databaseOptions(config, log))
  try {
    await migrateDatabase(config, database, log)
    await openKeyring(database.db, { file: kekFile(config), create: false })
    const { file, revoked } = await resetAdminToken(database.db, adminTokenFile(config))
    process.stdout.write(
      `a new admin token is in ${file} (0600); earlier ones that ended: ${revoked}\nnext: ENTENTE_TOKEN_FILE=${file} entente whoami\n`,
    )
    return 0
  } finally {
    await database.close()
  }
}
