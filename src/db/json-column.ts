import type { ColumnType } from 'kysely'

/** A jsonb column: parsed on reading, written as JSON text. */
export type Json<T> = ColumnType<T, string, string>
