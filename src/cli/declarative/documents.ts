import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { quoted } from '../../errors.ts'
import { type Cli } from '../cli.ts'
import { CliFailure, EXIT, type RefusedField, usageFailure } from '../failure.ts'
import { canonical } from './compare.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Kind, type Wanted } from './kind.ts'
import { findKind, isNested, KINDS, nameIn } from './kinds.ts'
import { yamlValues, type YamlValue } from '../yaml-text.ts'

/** One document of a file: an object as it should be. */
export interface ObjectDocument extends Wanted {
  /** The file, and the document's number in it where it has several. */
  readonly place: string
}

/** Largest file, in bytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024

const EXTENSION = /\.(ya?ml|json)$/

/**
 * Reads the documents of files and folders (`-` is stdin; of a folder its .yaml, .yml and .json files, not those in
 * folders below), in the order of the kinds.
 *
 * Throws a failure with exit code 2 that names every wrong document by file and number.
 */
export async function readDocuments(
  cli: Cli,
  names: readonly string[],
): Promise<readonly ObjectDocument[]> {
  const documents: ObjectDocument[] = []
  const faults: RefusedField[] = []
  for (const file of await filesOf(names)) {
    for (const { place, value, fault } of valuesIn(file, await cli.readInput(file))) {
      const read = fault ?? (await documentOf(cli, { place, value }))
      if (typeof read === 'string') faults.push({ in: place, detail: read })
      else documents.push(read)
    }
  }
  faults.push(...repeated(documents))
  if (faults.length > 0) throw wrongDocuments(faults)
  const rank = new Map(KINDS.map((kind, index) => [kind, index]))
  return documents.toSorted((a, b) => (rank.get(a.kind) ?? 0) - (rank.get(b.kind) ?? 0))
}

/** Names an object beyond its mesh: `Relationship acme/globex`, `Mesh acme`. */
export function objectWord({ kind, mesh, name }: Pick<ObjectDocument, 'kind' | 'mesh' | 'name'>) {
  return isNested(kind) ? `${kind.kind} ${mesh}/${name}` : `${kind.kind} ${name}`
}

/** SHA-256 of a document, hex; white space and the order of members say nothing. */
export function digestOf({ kind, mesh, body }: ObjectDocument): string {
  return createHash('sha256')
    .update(canonical({ kind: kind.kind, mesh, ...body }))
    .digest('hex')
}

/** The failure for wrong documents, each with its place. */
export function wrongDocuments(faults: readonly RefusedField[]): CliFailure {
  const count = new Set(faults.map((fault) => fault.in)).size
  const message = `${count} ${count === 1 ? 'document is' : 'documents are'} wrong; nothing was changed`
  return new CliFailure(message, { exitCode: EXIT.usage, fields: faults })
}

async function filesOf(names: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const name of names) {
    if (name === '-' || !(await isFolder(name))) {
      files.push(name)
      continue
    }
    const inside = (await readdir(name)).filter((file) => EXTENSION.test(file)).toSorted()
    files.push(...inside.map((file) => join(name, file)))
  }
  return files
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory()
  } catch {
    throw usageFailure(`there is no file or folder ${quoted(name)}`)
  }
}

interface Value extends YamlValue {
  readonly place: string
}

/** The documents of one text; YAML holds JSON too. Empty ones are counted and left out. */
function valuesIn(file: string, bytes: Uint8Array): Value[] {
  const shown = file === '-' ? 'stdin' : file
  if (bytes.length > MAX_FILE_BYTES) {
    const fault = `at most ${MAX_FILE_BYTES} bytes in a file, found ${bytes.length}`
    return [{ place: shown, value: undefined, fault }]
  }
  const values = yamlValues(new TextDecoder().decode(bytes))
  return values.flatMap((one, index) => {
    const place = values.length > 1 ? `${shown} document ${index + 1}` : shown
    return one.value === null ? [] : [{ place, ...one }]
  })
}

/** A document from what a file holds; a text tells what is wrong with it. */
async function documentOf(cli: Cli, { place, value }: Value): Promise<ObjectDocument | string> {
  if (!isJsonRecord(value)) return 'it must be an object with kind and mesh'
  const { kind: word, mesh: named, ...members } = value
  const kind = typeof word === 'string' ? findKind(word) : undefined
  if (kind === undefined) return `kind ${wordOf(word)}, wanted one of ${kindWords()}`
  if (named !== undefined && typeof named !== 'string')
    return `mesh ${wordOf(named)}, wanted a name`
  const given = Object.entries(members).filter(([, member]) => member !== null)
  const body: JsonRecord = Object.fromEntries(given)
  if (isNested(kind)) {
    const name = nameIn(kind, body)
    if (name === undefined) {
      const wanted = kind.nameWanted ?? 'a name'
      return `${kind.nameMember} ${wordOf(body[kind.nameMember])}, wanted ${wanted}`
    }
    return { place, kind, mesh: named ?? (await cli.meshId()), name, body }
  }
  return wholeMesh({ place, kind, named, body })
}

function wholeMesh(about: {
  readonly place: string
  readonly kind: Kind
  readonly named: string | undefined
  readonly body: JsonRecord
}): ObjectDocument | string {
  const { place, kind, named, body } = about
  const own = body[kind.nameMember]
  const name = named ?? own
  if (typeof name !== 'string') return 'mesh is missing'
  if (own !== undefined && own !== name) return `mesh ${name} and ${kind.nameMember} ${wordOf(own)}`
  return { place, kind, mesh: name, name, body: { [kind.nameMember]: name, ...body } }
}

function wordOf(value: unknown): string {
  if (value === undefined) return 'is missing'
  return `is ${quoted(typeof value === 'string' ? value : canonical(value), 60)}`
}

function kindWords(): string {
  return KINDS.map(({ kind }) => kind).join(', ')
}

function repeated(documents: readonly ObjectDocument[]): RefusedField[] {
  const seen = new Map<string, string>()
  return documents.flatMap((document) => {
    const word = objectWord(document)
    const before = seen.get(word)
    seen.set(word, document.place)
    return before === undefined
      ? []
      : [{ in: document.place, detail: `${word} stands in ${before} too` }]
  })
}
