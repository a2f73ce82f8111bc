import { readFile, stat } from 'node:fs/promises'
import type { ChangeContext } from '../audit/record.ts'
import { inTransaction } from '../db/connect.ts'
import { createPrivateFile, draftPrivateFile } from '../db/private-file.ts'
import type { Db } from '../db/schema.ts'
import { databaseNow } from '../db/time.ts'
import { command, messageOf, ServiceError } from '../errors.ts'
import { ADMIN_LABEL, recordRevocation, storeToken } from './api-tokens.ts'
import {
  claimFirstAdminToken,
  findLabelled,
  findTokenByHash,
  isFirstAdminTokenMade,
  revokeToken,
} from './store.ts'
import { hashToken, isToken, newToken } from './token.ts'

/** Where the first admin token comes from. */
export interface AdminTokenOptions {
  /** The file that holds the token. */
  readonly file: string
  /** Make the file when it is absent (embedded database). */
  readonly create: boolean
}

/** What {@link ensureAdminToken} found or did. */
export interface AdminTokenState {
  readonly file: string
  /** `made`: the first token of this database · `kept`: it has one · `unknown`: the file holds another. */
  readonly outcome: 'made' | 'kept' | 'unknown'
}

/**
 * Makes sure that a new database has one token that may do everything, the one in the file.
 *
 * Only the first start takes a token from the file: whoever can later change the file cannot make themselves an
 * administrator with it. Throws CONFIGURATION_INVALID when the file is needed and absent, malformed, or open to
 * others.
 */
export async function ensureAdminToken(
  db: Db,
  options: AdminTokenOptions,
): Promise<AdminTokenState> {
  const { file } = options
  if (await isFirstAdminTokenMade(db)) return { file, outcome: await compareFile(db, file) }
  const secret = await readOrCreateTokenFile(options)
  await inTransaction(db, async (trx) => {
    const context: ChangeContext = { actor: 'service:start', now: await databaseNow(trx) }
    if (await claimFirstAdminToken(trx)) await storeAdminToken(trx, secret, context)
  })
  // Of several replicas at a first start one stores its token; the others look whether it is theirs.
  const outcome = await compareFile(db, file)
  return { file, outcome: outcome === 'kept' ? 'made' : outcome }
}

/** Makes a file (0600) with a new token in it, for `ENTENTE_ADMIN_TOKEN_FILE`; throws ALREADY_EXISTS. */
export async function createTokenFile(path: string): Promise<void> {
  await createPrivateFile(path, `${newToken()}\n`)
}

/** What {@link resetAdminToken} did. */
export interface ResetAdminToken {
  readonly file: string
  /** Earlier admin tokens that ended with it. */
  readonly revoked: number
}

/**
 * Replaces the admin token: a new one goes into the file (0600), all earlier ones end.
 *
 * For a caller that has shown the database's KEK (`openKeyring`). The file is written before the change commits
 * and gets its name after it, so a failure leaves the old token good and its file as it was.
 */
export async function resetAdminToken(db: Db, file: string): Promise<ResetAdminToken> {
  const secret = newToken()
  const draft = await draftPrivateFile(file, `${secret}\n`)
  try {
    const revoked = await inTransaction(db, (trx) => replaceAdminToken(trx, secret))
    await draft.publish()
    return { file, revoked }
  } catch (error) {
    await draft.discard()
    throw error
  }
}

async function replaceAdminToken(trx: Db, secret: string): Promise<number> {
  const context: ChangeContext = {
    actor: 'operator:admin-token-reset',
    now: await databaseNow(trx),
  }
  await claimFirstAdminToken(trx)
  const earlier = await findLabelled(trx, ADMIN_LABEL)
  for (const id of earlier) {
    await revokeToken(trx, id, context.now)
    await recordRevocation(trx, { id, label: ADMIN_LABEL }, context)
  }
  await storeAdminToken(trx, secret, context)
  return earlier.length
}

async function storeAdminToken(trx: Db, secret: string, context: ChangeContext): Promise<void> {
  await storeToken(trx, {
    ...context,
    token: { secret, label: ADMIN_LABEL, expiresAt: undefined },
    grants: [{ role: 'platform-admin', scope: { kind: 'everything' } }],
  })
}

async function compareFile(db: Db, file: string): Promise<'kept' | 'unknown'> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return 'kept'
  const found = await findTokenByHash(db, hashToken(text.trim()))
  return found === undefined || found.revokedAt !== undefined ? 'unknown' : 'kept'
}

async function readOrCreateTokenFile({ file, create }: AdminTokenOptions): Promise<string> {
  if (create && !(await isThere(file))) await createTokenFile(file)
  const text = await readPrivate(file)
  const token = text.trim()
  if (isToken(token)) return token
  throw new ServiceError(
    'CONFIGURATION_INVALID',
    `the admin token file ${file} does not hold one token of the form entente_…`,
    { next: `make one with: entente admin-token create --out FILE` },
  )
}

async function readPrivate(file: string): Promise<string> {
  try {
    const { mode } = await stat(file)
    if ((mode & 0o077) === 0) return await readFile(file, 'utf8')
    throw new ServiceError(
      'CONFIGURATION_INVALID',
      `the admin token file ${file} has mode ${(mode & 0o777).toString(8)} and must be closed to group and others`,
      { next: command`chmod 600 ${file}` },
    )
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw new ServiceError(
      'CONFIGURATION_INVALID',
      `cannot read the admin token file ${file}: ${messageOf(error)}`,
      { cause: error, next: command`entente admin-token create --out ${file}` },
    )
  }
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
