/** The log that the database layer writes to. */
export interface DatabaseLog {
  warn(fields: object, message: string): void
}
