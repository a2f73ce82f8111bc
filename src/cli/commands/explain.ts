import { type Command } from 'commander'
import { type ExplainView } from '../../policy/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { formatNext } from '../output.ts'

interface ExplainOptions {
  readonly mayCall?: string
  readonly maySee?: string
  readonly of?: string
  readonly to?: string
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
    .option('--at <moment>', 'as the rules were to apply at that moment; default now')
    .addHelpText(
      'after',
      `
Examples:
  entente explain spiffe://globex.example/web --may-call shop/cart
  entente explain spiffe://acme.example/web --may-call market/quotes --of globex
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
  const { of, to, at } = options
  const query = { service, caller, of, to, at }
  const answer = await cli.get<ExplainView>(path`/meshes/${await cli.meshId()}/explain`, { query })
  if (cli.output === 'table') cli.say(sayAnswer(answer, { ...query, caller }))
  else cli.print(answer)
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
  subject: 'service',
  exportRule: 'export rule',
  importRule: 'import rule',
  tenancy: 'caller',
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
  { decision, undecided }: ExplainView,
  { service, caller, of, to }: Question,
): string {
  const what = of === undefined ? service : `${service} of ${of}`
  const may = decision === 'allow' ? 'may' : 'may not'
  const who = caller ?? (to === undefined ? 'this mesh' : to)
  const sentence = `${who} ${may} ${caller === undefined ? 'see' : 'call'} ${what}`
  const open = decision === 'allow' && undecided.length > 0
  return open ? `${sentence}, if ${undecided.join(' and ')} allows its half` : sentence
}

function sayDetails({ decision, hostname, serverIds }: ExplainView): string[] {
  if (decision === 'deny') return []
  return [
    ...(hostname === null ? [] : [`    as ${hostname}`]),
    ...(serverIds.length === 0 ? [] : [`    served by ${serverIds.join(', ')}`]),
  ]
}
