import { PGlite, types } from '@electric-sql/pglite'

/** Where the embedded database lives: a folder, or memory filled from a dump (tests). */
export interface PgliteOptions {
  readonly folder?: string
  readonly dump?: Blob
}

/**
 * Opens PGlite with the types that Postgres gives us: int8 as bigint, date as text.
 *
 * One process only: the caller holds the folder's lock (two processes make the folder unreadable for ever).
 */
export async function openPglite(options: PgliteOptions): Promise<PGlite> {
  return PGlite.create({
    ...(options.folder === undefined ? {} : { dataDir: `${options.folder}/pg` }),
    ...(options.dump === undefined ? {} : { loadDataDir: options.dump }),
    parsers: { [types.INT8]: (text) => BigInt(text), [types.DATE]: (text) => text },
  })
}
