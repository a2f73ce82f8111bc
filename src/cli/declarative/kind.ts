import { type Cli } from '../cli.ts'
import { type FieldChange } from './compare.ts'
import { type JsonRecord } from './json-schema.ts'

/** Something that ends, or breaks, with an object that is pruned. */
export interface Ending {
  readonly kind: string
  readonly name: string
  readonly effect: string
  /** The API refuses to delete the object while this exists. */
  readonly blocks: boolean
}

/** One call that brings an object to its document. */
export interface Step {
  readonly method: 'POST' | 'PATCH' | 'PUT'
  readonly target: string
  readonly body: unknown
}

/** An object as it should be. */
export interface Wanted {
  readonly kind: Kind
  readonly mesh: string
  readonly name: string
  /** The body as the API takes it. */
  readonly body: JsonRecord
}

/** What a kind knows beyond its collection. */
export interface Kind {
  /** The word in documents. */
  readonly kind: string
  /** The collection as the API's description has it, below `/v1`. */
  readonly collection: string
  /** The member of the body that names the object. */
  readonly nameMember: string
  /** Names the object where one member does not, of a body or a view; undefined when it names none. */
  readonly nameOf?: (body: JsonRecord) => string | undefined
  /** What a name must be, for refusals; default a name. */
  readonly nameWanted?: string
  /** The path of one object below its collection, as the API's description has it; default one part. */
  readonly item?: string
  /** The path of one object below its collection; default its name. */
  readonly pathOf?: (name: string) => string
  /** The view with members where the body has them; default the view itself. */
  readonly shape?: (view: JsonRecord) => JsonRecord
  /** What a reader of the document must know beside it. */
  readonly remark?: (view: JsonRecord) => string | undefined
  /** Reads the view of an object that has no path of its own; default a GET. */
  readonly find?: (
    cli: Cli,
    about: { readonly mesh: string; readonly name: string },
  ) => Promise<unknown>
  /** It is set whole with PUT, and taken away by setting nothing; it has no beginning, so nothing is made of it. */
  readonly isSet?: boolean
  /** Adds to the body of an existing object what its view does not hold. */
  readonly complete?: (cli: Cli, target: string, body: JsonRecord) => Promise<JsonRecord>
  /** The document as it is compared with an existing object. */
  readonly comparable?: (body: JsonRecord, live: JsonRecord) => JsonRecord
  /** Members that a change replaces whole, so what the document leaves out of one goes. */
  readonly replaced?: readonly string[]
  /** Calls for what a change of the object cannot bring; default a refusal. */
  readonly pinnedSteps?: (cli: Cli, target: string, pinned: Pinned) => Promise<PinnedSteps>
  /** Why an existing object takes no document. */
  readonly closed?: (view: JsonRecord) => string | undefined
  /** Why an existing object is not the one that the holder of the token means by the document. */
  readonly other?: (
    cli: Cli,
    about: Wanted & { readonly view: JsonRecord },
  ) => Promise<string | undefined>
  /** Why an existing object takes no change: another source keeps it, so it is of no owner of documents either. */
  readonly kept?: (view: JsonRecord) => string | undefined
  /** Other objects of the mesh that the document names. */
  readonly refersTo?: (body: JsonRecord) => readonly Reference[]
  /** The body that makes the object, among the documents of its run; default the document's. */
  readonly making?: (document: Wanted, all: readonly Wanted[]) => JsonRecord
  /** Objects that are made together with it. */
  readonly makes?: (body: JsonRecord) => readonly Reference[]
  /** The body without what is not there yet, to be completed later; undefined where it cannot be made without. */
  readonly without?: (body: JsonRecord, missing: readonly Reference[]) => JsonRecord | undefined
  /** What a change comes to beyond the object, in sentences, from the answer to its dry run. */
  readonly effect?: (answer: JsonRecord) => readonly string[]
  /** Ends the object, or tells what would end with it; default a DELETE. */
  readonly end?: (cli: Cli, target: string, options: EndOptions) => Promise<readonly Ending[]>
  /** Several objects may have one name, so one of them is ended by its id. */
  readonly endsById?: boolean
  /** Its DELETE takes `force`, for what only uses it until that is deleted too. */
  readonly takesForce?: boolean
  /** Pruned only when that is said too, since nothing brings it back. */
  readonly precious?: boolean
}

/** What of a document no change of its object can bring. */
export interface Pinned {
  readonly wanted: JsonRecord
  readonly pinned: readonly FieldChange[]
}

/** What can be done about pinned differences. */
export interface PinnedSteps {
  readonly steps?: readonly Step[]
  /** Why nothing can be done. */
  readonly refusal?: string
  /** Nothing differs any more only once somebody has decided; what shows it. */
  readonly waits?: string
}

/** The refusal of what is fixed when an object is made. */
export function fixedOnce(pinned: readonly FieldChange[]): string {
  const fields = pinned.map(({ field }) => field).join(', ')
  return `${fields} cannot be changed once it exists; delete it first to make it anew`
}

/** An object that a document names. */
export interface Reference {
  readonly kind: string
  readonly name: string
}

/** How an object is ended. */
export interface EndOptions {
  /** Only tell what would end with it. */
  readonly dryRun: boolean
  readonly force?: boolean
}

/** What comes with the end of an object. */
export interface Ended {
  readonly endings: readonly Ending[]
  /** See {@link Kind.effect}. */
  readonly effect: readonly string[]
}
