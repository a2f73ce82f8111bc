import { type AppliedView } from '../../mesh/applied-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { digestOf, type ObjectDocument } from './documents.ts'
import { type JsonRecord } from './json-schema.ts'
import { type Kind } from './kind.ts'
import { findKind } from './kinds.ts'

/** An object of an owner that is in none of the documents. */
export interface Leftover {
  readonly kind: Kind
  readonly mesh: string
  readonly name: string
  /** The very object that was applied. */
  readonly objectId: string
  /** Whether who recorded it for the owner may end it. */
  readonly prunable: boolean
}

/** Who applied what, read once a mesh. */
export class AppliedRecords {
  readonly #cli: Cli
  readonly #meshes = new Map<string, readonly AppliedView[]>()

  constructor(cli: Cli) {
    this.#cli = cli
  }

  /** Who applied an object; of several of one name the one that is shown. */
  async find(
    { kind, mesh, name }: Pick<ObjectDocument, 'kind' | 'mesh' | 'name'>,
    view: JsonRecord,
  ): Promise<AppliedView | undefined> {
    const known = this.#meshes.get(mesh) ?? (await listApplied(this.#cli, mesh))
    this.#meshes.set(mesh, known)
    return known.find(
      (one) =>
        one.kind === kind.kind &&
        one.name === name &&
        (kind.endsById !== true || one.objectId === view['id']),
    )
  }
}

/** Records that an owner applied a document; the same again is not sent. */
export async function recordApplied(
  cli: Cli,
  {
    document,
    applied,
  }: { readonly document: ObjectDocument; readonly applied: AppliedView | undefined },
  options: { readonly owner: string; readonly takeOver: boolean; readonly dryRun?: boolean },
): Promise<void> {
  const { owner, takeOver, dryRun } = options
  const digest = digestOf(document)
  if (applied?.owner === owner && applied.digest === digest) return
  await cli.put(pathOf(document), { owner, digest, takeOver }, { query: { dryRun }, quiet: true })
}

/** Forgets who applied an object, if anybody did. */
export async function forgetApplied(cli: Cli, leftover: Leftover): Promise<void> {
  await unlessGone(() => cli.delete(pathOf(leftover)))
}

/** The objects that an owner applied in the meshes of the token and that no document names, in the service's order. */
export async function findLeftovers(
  cli: Cli,
  about: { readonly owner: string; readonly documents: readonly ObjectDocument[] },
): Promise<Leftover[]> {
  const named = new Set(about.documents.map(({ kind, mesh, name }) => keyOf(kind.kind, mesh, name)))
  const leftovers: Leftover[] = []
  for (const mesh of await meshesOf(cli, about.documents)) {
    for (const { kind: word, ...one } of await listApplied(cli, mesh, about.owner)) {
      const kind = findKind(word)
      if (kind !== undefined && !named.has(keyOf(word, mesh, one.name))) {
        leftovers.push({ kind, mesh, ...one })
      }
    }
  }
  return leftovers
}

/** The answer to a call, or undefined when what it was about is gone. */
export async function unlessGone<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call()
  } catch (thrown) {
    if (thrown instanceof CliFailure && thrown.status === 404) return undefined
    throw thrown
  }
}

/** What was applied in a mesh; nothing in one that does not exist. */
async function listApplied(cli: Cli, mesh: string, owner?: string): Promise<AppliedView[]> {
  const at = path`/meshes/${mesh}/applied`
  return (await unlessGone(() => cli.list<AppliedView>(at, { owner }))) ?? []
}

/** Every mesh of the service, or those of the documents for a token that may not see all. */
async function meshesOf(cli: Cli, documents: readonly ObjectDocument[]): Promise<string[]> {
  const named = [...new Set(documents.map(({ mesh }) => mesh))]
  try {
    const all = await cli.list<{ meshId: string }>('/meshes')
    return all.map(({ meshId }) => meshId)
  } catch (thrown) {
    if (thrown instanceof CliFailure && thrown.status === 403) return named
    throw thrown
  }
}

function pathOf({ kind, mesh, name }: Pick<ObjectDocument, 'kind' | 'mesh' | 'name'>): string {
  return path`/meshes/${mesh}/applied/${kind.kind}/${name}`
}

function keyOf(kind: string, mesh: string, name: string): string {
  return `${kind} ${mesh} ${name}`
}
