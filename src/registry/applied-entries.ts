import { ownerClustersOf } from '../access/owner-scope.ts'
import { type AppliedKind } from '../mesh/applied-object.ts'
import { entriesNamed } from './entry-store.ts'

/** The kind `Entry` of documents: entries by SPIFFE ID, told by their ids; an entry lies in the cluster it is tied to. */
export const appliedEntries: AppliedKind = {
  read: 'entry.read',
  write: () => 'entry.update',
  end: () => 'entry.delete',
  scopeOf: ownerClustersOf,
  find: entriesNamed,
}
