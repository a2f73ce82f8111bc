import type { Command } from 'commander'
import type { BundleView, CreatedReaderView, ReaderView, RevisionView } from '../../bundle/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import { dashed, showSigned, type SignOptions } from './bundle-sign.ts'

interface DomainOption {
  readonly trustDomain?: string
}

interface ShowOptions extends DomainOption, SignOptions {
  readonly signed?: boolean
}

const DOMAIN = ['--trust-domain <td>', "default the mesh's primary one"] as const

/** `bundle show|history|reader`: our own bundle, and who fetches it. `bundle` is the noun's command. */
export function registerBundle(bundle: Command, cli: Cli): void {
  bundle
    .command('show')
    .description(
      'print our bundle byte for byte, to be given to a peer; with --output json all about it',
    )
    .option(...DOMAIN)
    .option('--signed', 'as a signed bundle, which proves itself wherever it is carried')
    .option('--for <td>', 'with --signed: the only trust domain that may use it')
    .option('--expires-in <seconds>', 'with --signed: at most 604800; default 86400')
    .option(
      '--recovery-key <file>',
      'with --signed: sign with this key, here, instead of the endpoint SVID of the service',
    )
    .action((options: ShowOptions) => show(cli, options))
  bundle
    .command('history')
    .description('list what was published, the newest first')
    .option(...DOMAIN)
    .action((options: DomainOption) => history(cli, options))
  const reader = bundle
    .command('reader')
    .description('bundle URLs that show who fetched which sequence when')
  reader
    .command('add')
    .description('make a bundle URL for one reader')
    .argument('<label>', 'who it is for: a DNS label')
    .option(...DOMAIN)
    .option('--dry-run', 'show the effect and change nothing')
    .action((label: string, options: DomainOption & { dryRun?: boolean }) =>
      addReader(cli, label, options),
    )
  reader
    .command('list')
    .description('list readers and what they fetched')
    .option(...DOMAIN)
    .action((options: DomainOption) => listReaders(cli, options))
  reader
    .command('remove')
    .description('remove a reader; its URL then answers 404')
    .argument('<label>')
    .option(...DOMAIN)
    .option('--dry-run', 'show the effect and change nothing')
    .action((label: string, options: DomainOption & { dryRun?: boolean }) =>
      removeReader(cli, label, options),
    )
}

async function show(cli: Cli, { signed, ...options }: ShowOptions): Promise<void> {
  if (signed === true) {
    await showSigned(cli, options)
    return
  }
  const { trustDomain, ...foreign } = options
  const [extra] = Object.keys(foreign)
  if (extra !== undefined) throw usageFailure(`--${dashed(extra)} needs --signed`)
  const query = { trustDomain }
  const mesh = await cli.meshId()
  const found = await cli.get<BundleView>(path`/meshes/${mesh}/bundle`, { query: { ...query } })
  if (cli.output === 'table') cli.printText(found.document)
  else cli.print(found)
}

async function history(cli: Cli, query: DomainOption): Promise<void> {
  const mesh = await cli.meshId()
  const revisions = await cli.list<RevisionView>(path`/meshes/${mesh}/bundle/revisions`, {
    ...query,
  })
  cli.printTable(
    table(
      revisions,
      [
        { title: 'SEQUENCE', value: ({ sequence }) => sequence },
        { title: 'AT', value: ({ createdAt }) => createdAt },
        { title: 'HINT', value: ({ hintSeconds }) => `${hintSeconds} s` },
        { title: 'WHY', value: ({ cause }) => cause },
      ],
      'nothing was published',
    ),
  )
}

async function addReader(
  cli: Cli,
  label: string,
  { trustDomain, dryRun }: DomainOption & { readonly dryRun?: boolean },
): Promise<void> {
  const mesh = await cli.meshId()
  const body = { label, ...(trustDomain === undefined ? {} : { trustDomain }) }
  const target = path`/meshes/${mesh}/bundle/readers`
  const made = await cli.post<CreatedReaderView>(target, body, { query: { dryRun } })
  if (cli.output === 'table') cli.print({ reader: made.label, url: made.url, next: made.next })
  else cli.print(made)
}

async function listReaders(cli: Cli, query: DomainOption): Promise<void> {
  const mesh = await cli.meshId()
  const readers = await cli.list<ReaderView>(path`/meshes/${mesh}/bundle/readers`, { ...query })
  cli.printTable(
    table(
      readers,
      [
        { title: 'READER', value: ({ label }) => label },
        { title: 'KIND', value: ({ kind }) => kind },
        { title: 'ACTIVITY', value: ({ activity }) => activity },
        { title: 'FETCHES', value: ({ fetches }) => fetches },
        { title: 'LAST', value: ({ lastAt }) => lastAt ?? '' },
        { title: 'SEQUENCE', value: ({ sequence }) => sequence ?? '' },
        { title: 'FROM', value: ({ sources }) => shownSources(sources) },
        { title: 'URL', value: ({ url }) => url },
      ],
      ['no readers', 'entente bundle reader add globex'],
    ),
  )
}

/** The newest address, and how many others there were. */
function shownSources([newest, ...others]: ReaderView['sources']): string {
  if (newest === undefined) return '-'
  return others.length === 0 ? newest.address : `${newest.address} and ${others.length} more`
}

async function removeReader(
  cli: Cli,
  label: string,
  query: DomainOption & { readonly dryRun?: boolean },
): Promise<void> {
  const mesh = await cli.meshId()
  const target = path`/meshes/${mesh}/bundle/readers/${label}`
  const gone = await cli.delete<ReaderView | undefined>(target, { query: { ...query } })
  if (query.dryRun === true) cli.print(gone)
  else cli.say(`removed ${label}; its URL answers 404 from now on`)
}
