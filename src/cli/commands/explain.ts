import { type Command } from 'commander'
import { type ExplainView } from '../../policy/explain/explain-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { formatNext } from '../output.ts'
import { readMoment } from './spans.ts'

interface ExplainOptions {
  readonly mayCall?: string
  readonly maySee?: string
  readonly of?: string
  readonly to?: string
  readonly in?: string
  readonly port?: string
  readonly cluster?: string
  readonly network?: string
  readonly namespace?: string
  readonly at?: string
}

/** `explain`: a decision as a chain of reasons, and what would change it. */
export function registerExplain(program: Command, cli: Cli): void {
  program
    .command('explain')
    .description('why a service may or may not be seen or called, and what would allow it')
    .argument('[caller]', 'SPIFFE ID of the caller, for --may-call')
    .option('--may-call <service>', 'may the caller call namespace/name?')
    .option('--may-see <service>', 'may anybody there see namespace/name?')
    .option('--of <relationship>', "the service is this peer's; default ours")
    .option('--to <relationship>', "who asks; default the caller's mesh, or this one")
    .option('--in <mesh>', 'the mesh whose view is asked; as --mesh')
    .option('--port <name>', 'this port of the service')
    .option('--cluster <name>', 'where in our mesh who asks runs')
    .option('--network <name>', 'the network of ours from where the way is looked for')
    .option('--namespace <name>', "the namespace of ours that asks; default the caller's")
    .option(
      '--at <moment>',
      'as the rules were to apply then: a date or an RFC 3339 time; default now',
      readMoment,
    )
    .addHelpText(
      'after',
      `
Examples:
  entente explain spiffe://globex.example/web --may-call shop/cart
  entente explain spiffe://acme.example/web --may-call market/quotes --of globex
  entente explain spiffe://globex.example/web --may-call shop/cart --in acme
  entente explain --may-see shop/cart --to globex`,
    )
    .action((caller: string | undefined, options: ExplainOptions) => explain(cli, caller, options))
}

async function explain(
  cli: Cli,
  caller: string | undefined,
  options: ExplainOptions,
): Promise<void> {
  const service = serviceOf(caller, options)
  const { in: mesh = await cli.meshId(), mayCall: _call, maySee: _see, ...rest } = options
  const query = { service, caller, ...rest }
  const found = await cli.get<ExplainView>(path`/meshes/${mesh}/explain`, { query })
  const next =
    options.in === undefined ? found.next : found.next.map((command) => inMesh(command, mesh))
  const answer = { ...found, next }
  if (cli.output === 'table')
    cli.say(sayAnswer(answer, { service, caller, of: rest.of, to: rest.to }))
  else cli.print(answer)
}

/** A command that stays with the mesh that was asked, in every part, before what is said of it. */
function inMesh(command: string, mesh: string): string {
  if (!command.startsWith('entente ')) return command
  const parts = command.split(' && ')
  return parts.map((part) => part.replace(/( {3}#.*)?$/, ` --mesh ${mesh}$1`)).join(' && ')
}

function serviceOf(caller: string | undefined, { mayCall, maySee }: ExplainOptions): string {
  if ((mayCall === undefined) === (maySee === undefined)) {
    throw usageFailure(
      'ask one question',
      'give --may-call SERVICE with a caller, or --may-see SERVICE',
    )
  }
  if (mayCall !== undefined && caller !== undefined) return mayCall
  if (maySee !== undefined && caller === undefined) return maySee
  throw usageFailure(
    '--may-call needs a caller and --may-see takes none',
    'entente explain spiffe://acme.example/web --may-call shop/cart',
  )
}

interface Question {
  readonly service: string
  readonly caller: string | undefined
  readonly of: string | undefined
  readonly to: string | undefined
}

const TICKS = { allow: '✓', deny: '✗', unknown: '?' } as const

const TITLES: Readonly<Record<ExplainView['steps'][number]['step'], string>> = {
  relationship: 'relationship',
  bundle: 'bundle',
  subject: 'service',
  identity: 'identity',
  exportRule: 'export rule',
  importRule: 'import rule',
  tenancy: 'caller',
  name: 'name',
  route: 'route',
  identities: 'identities',
}

function sayAnswer(answer: ExplainView, question: Question): string {
  const width = Math.max(...answer.steps.map(({ step }) => TITLES[step].length))
  const steps = answer.steps.map(
    ({ step, outcome, reason }) =>
      `  ${TICKS[outcome]} ${TITLES[step].padEnd(width)}  ${sayReason(outcome, reason)}`,
  )
  const lines = [sayDecision(answer, question), ...steps, ...sayDetails(answer)]
  if (answer.decision === 'allow') return lines.join('\n')
  if (answer.next.length === 0)
    return [...lines, 'no change of this mesh would allow it'].join('\n')
  return [...lines, formatNext(answer.next).replace('next:', 'to allow it:')].join('\n').trimEnd()
}

function sayReason(outcome: keyof typeof TICKS, reason: string): string {
  return outcome === 'unknown' ? `unknown (${reason})` : reason
}

function sayDecision(
  { decision, undecided, steps }: ExplainView,
  { service, caller, of, to }: Question,
): string {
  const what = of === undefined ? service : `${service} of ${of}`
  const may = decision === 'allow' ? 'may' : 'may not'
  const who = caller ?? (to === undefined ? 'this mesh' : to)
  const sentence = `${who} ${may} ${caller === undefined ? 'see' : 'call'} ${what}`
  if (decision === 'deny') return sentence
  const isLost = steps.some(({ step, outcome }) => step === 'route' && outcome === 'deny')
  const condition = undecided.length === 0 ? '' : `, if ${undecided.join(' and ')} allows its half`
  return `${sentence}${condition}${isLost ? ', but there is no way to it now' : ''}`
}

function sayDetails({ decision, hostname }: ExplainView): string[] {
  return decision === 'deny' || hostname === null ? [] : [`    as ${hostname}`]
}
