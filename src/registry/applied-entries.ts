import { type AppliedKind } from '../mesh/applied-object.ts'
import { entriesNamed } from './entry-store.ts'

/** The kind `Entry` of documents: entries by SPIFFE ID, told by their ids. */
export const appliedEntries: AppliedKind = entriesNamed
