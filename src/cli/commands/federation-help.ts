import { type Command, Option } from 'commander'
import { type DiagnosisView, type DoctorStepView } from '../../federation/doctor/doctor-api.ts'
import { type InstructionsView } from '../../federation/instructions/instruction-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { table } from '../output.ts'

interface InstructionOptions {
  readonly side: 'ours' | 'theirs'
  readonly for: InstructionsView['for']
}

/** `federation doctor` and `federation instructions`: what is wrong, and what to paste where. */
export function registerFederationHelp(federation: Command, cli: Cli): void {
  federation
    .command('doctor')
    .description(
      'look at a relationship step by step: each with a tick, or the reason and the way out',
    )
    .argument('<name>')
    .action((name: string) => doctor(cli, name))
  federation
    .command('instructions')
    .description('ready-to-paste configuration for the peer, or for our own control planes')
    .argument('<name>')
    .addOption(
      new Option('--side <side>', 'theirs: to trust us; ours: to read the peer from the relay')
        .choices(['theirs', 'ours'])
        .default('theirs'),
    )
    .addOption(
      new Option('--for <target>', 'where it is pasted')
        .choices(['spire', 'spire-controller-manager', 'istio', 'openshift', 'curl'])
        .makeOptionMandatory(),
    )
    .action((name: string, options: InstructionOptions) => instructions(cli, name, options))
}

const MARKS: Readonly<Record<DoctorStepView['outcome'], string>> = {
  ok: '✔',
  failed: '✖',
  warning: '!',
  skipped: '-',
}

async function doctor(cli: Cli, name: string): Promise<void> {
  const found = await cli.post<DiagnosisView>(
    path`/meshes/${await cli.meshId()}/relationships/${name}/doctor`,
  )
  if (cli.output === 'table') {
    for (const { trustDomain, steps } of found.domains) {
      cli.say(trustDomain)
      printSteps(cli, steps)
    }
    cli.say(`relationship ${name}`)
    printSteps(cli, found.steps)
  } else cli.print(found)
  if (found.healthy) return
  const all = [...found.domains.flatMap(({ steps }) => steps), ...found.steps]
  const bad = all.filter(({ outcome }) => outcome === 'failed')
  const names = [...new Set(bad.map(({ step }) => step))].join(', ')
  throw new CliFailure(`relationship ${name} is not well: ${names}`, {
    next: [...new Set(bad.flatMap(({ next }) => next ?? []))],
  })
}

function printSteps(cli: Cli, steps: readonly DoctorStepView[]): void {
  cli.printTable(
    table(steps, [
      { title: ' ', value: ({ outcome }) => MARKS[outcome] },
      { title: 'STEP', value: ({ step }) => step },
      { title: 'FOUND', value: stepText },
    ]),
  )
}

function stepText({ outcome, detail, next }: DoctorStepView): string {
  return next === null || outcome === 'failed' ? detail : `${detail} (${next})`
}

async function instructions(cli: Cli, name: string, options: InstructionOptions): Promise<void> {
  const view = await cli.get<InstructionsView>(
    path`/meshes/${await cli.meshId()}/relationships/${name}/instructions`,
    { query: { side: options.side, for: options.for } },
  )
  if (cli.output === 'table') cli.printText(view.text)
  else cli.print(view)
}
