import { type Command, InvalidArgumentError } from 'commander'
import { messageOf } from '../../errors.ts'
import { type Cli } from '../cli.ts'
import { CliExit, CliFailure, EXIT } from '../failure.ts'
import {
  type ApplyOptions,
  carryOut,
  makePlan,
  type Plan,
  type Pruned,
} from '../declarative/apply.ts'
import { type Wanted } from '../declarative/kind.ts'
import { type FieldChange } from '../declarative/compare.ts'
import { objectWord } from '../declarative/documents.ts'
import { type Effects, judgePlan } from '../declarative/judge.ts'
import { type Planned, readLive } from '../declarative/plan.ts'
import { changeLines } from '../declarative/print.ts'
import { collect } from './service-words.ts'

interface Options {
  readonly filename: readonly string[]
  readonly owner: string
  readonly prune?: boolean
  readonly pruneMeshes?: boolean
  readonly takeOver?: boolean
  readonly dryRun?: boolean
}

const FILES_HELP = 'a file, a folder of .yaml, .yml and .json files, or - for stdin; repeatable'

/** `apply` and `diff`: the service as files have it. */
export function registerApply(program: Command, cli: Cli): void {
  shared(program.command('apply').description('bring meshes and what is in them to what files say'))
    .option('--take-over', 'also objects that another owner applied')
    .option('--dry-run', 'show what would be done and change nothing')
    .action((options: Options) => apply(cli, options))
  shared(
    program
      .command('diff')
      .description(
        'show how the service differs from files; exit code 0: not at all, 1: it differs, above 1: failure',
      ),
  ).action((options: Options) => diff(cli, options))
}

function shared(command: Command): Command {
  return command
    .requiredOption('-f, --filename <file>', FILES_HELP, collect)
    .option(
      '--owner <name>',
      'on whose behalf; pruning touches only what it applied',
      readOwner,
      'default',
    )
    .option('--prune', 'what this owner applied and no file names any more ends')
    .option('--prune-meshes', 'with --prune: meshes too; their keys are erased')
}

function readOwner(text: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/.test(text)) return text
  throw new InvalidArgumentError('it must be 1 to 63 of a-z, 0-9, ., _ and -')
}

function applyOptions(options: Options): ApplyOptions {
  return {
    files: options.filename,
    owner: options.owner,
    prune: options.prune === true,
    pruneMeshes: options.pruneMeshes === true,
    takeOver: options.takeOver === true,
  }
}

async function apply(cli: Cli, given: Options): Promise<void> {
  const options = applyOptions(given)
  const plan = await makePlan(cli, options)
  const effects = await judgePlan(cli, plan, options)
  const told = new Told(cli, given.dryRun === true ? effects : undefined)
  if (given.dryRun === true) {
    plan.objects.forEach(told.applied)
    plan.pruned.forEach(told.pruned)
  } else {
    await carryOut(cli, plan, { ...options, progress: told })
  }
  for (const kept of plan.kept) {
    cli.warn(`${objectWord(kept)} is in no file and stays, ${kept.reason}`)
  }
  told.end()
}

/** Says what is done, as it is done; in JSON and YAML all of it at the end. */
class Told {
  readonly #cli: Cli
  /** Undefined when it is done and not only tried. */
  readonly #effects: Effects | undefined
  readonly #objects: object[] = []

  constructor(cli: Cli, effects: Effects | undefined) {
    this.#cli = cli
    this.#effects = effects
  }

  get #dryRun(): boolean {
    return this.#effects !== undefined
  }

  readonly applied = (planned: Planned): void => {
    const { action, changes, document, steps, waits } = planned
    const word =
      steps.length === 0 ? 'unchanged' : { create: 'created', update: 'updated', none: '' }[action]
    this.#say(document, word)
    if (action === 'update') this.#lines(changeLines(changes))
    if (waits !== undefined) this.#lines([`proposed, and in force once it is approved: ${waits}`])
    const effect = this.#effects?.get(planned)
    this.#lines(effect ?? [])
    this.#objects.push({ ...keyOf(document), result: word, changes, waits, effect })
  }

  readonly pruned = (pruned: Pruned): void => {
    this.#say(pruned, 'deleted')
    const { endings } = pruned
    const effect = this.#dryRun ? pruned.effect : undefined
    this.#lines(endings.map((ending) => `${ending.kind} ${ending.name}: ${ending.effect}`))
    this.#lines(effect ?? [])
    this.#objects.push({ ...keyOf(pruned), result: 'deleted', endings, effect })
  }

  end(): void {
    if (this.#cli.output !== 'table') {
      this.#cli.print({ dryRun: this.#dryRun, objects: this.#objects })
    } else if (this.#dryRun) this.#cli.say('dry run: nothing was changed')
  }

  #say(object: NamedObject, word: string): void {
    const done = this.#dryRun && word !== 'unchanged' ? `would be ${word}` : word
    this.#cli.say(`${objectWord(object)} ${done}`)
  }

  #lines(lines: readonly string[]): void {
    for (const line of lines) this.#cli.say(`  ${line}`)
  }
}

async function diff(cli: Cli, given: Options): Promise<void> {
  const differs = await differences(cli, applyOptions(given)).catch((thrown: unknown) => {
    throw aboveOne(thrown)
  })
  if (differs) throw new CliExit(1)
}

/** 1 says that there are differences, so a failure needs another code. */
function aboveOne(thrown: unknown): CliFailure {
  if (!(thrown instanceof CliFailure)) {
    const options = { exitCode: EXIT.diffFailed, cause: thrown }
    return new CliFailure(`this is a bug: ${messageOf(thrown)}`, options)
  }
  if (thrown.exitCode !== EXIT.refused) return thrown
  const { message, status, code, fields, next, cause } = thrown
  return new CliFailure(message, {
    exitCode: EXIT.diffFailed,
    ...(status === undefined ? {} : { status }),
    ...(code === undefined ? {} : { code }),
    fields,
    next,
    cause,
  })
}

interface Difference {
  readonly kind: string
  readonly mesh: string
  readonly name: string
  readonly place: string | null
  readonly changes: readonly FieldChange[]
  /** Why it cannot be applied. */
  readonly refusal: string | null
  /** What shows a proposal on which people decide first. */
  readonly waits: string | null
}

async function differences(cli: Cli, options: ApplyOptions): Promise<boolean> {
  const plan = await makePlan(cli, options)
  const found: Difference[] = plan.objects
    .filter(({ action, refusal }) => action !== 'none' || refusal !== undefined)
    .map(({ document, changes, refusal = null, waits = null }) => ({
      ...keyOf(document),
      place: document.place,
      changes,
      refusal,
      waits,
    }))
  found.push(...(await gone(cli, plan)))
  if (cli.output !== 'table') cli.print({ differences: found })
  for (const difference of found) sayDifference(cli, difference)
  return found.length > 0
}

/** What pruning would end, every field of it with a -. */
async function gone(cli: Cli, { pruned, description }: Plan): Promise<Difference[]> {
  const found: Difference[] = []
  for (const one of pruned) {
    const live = await readLive(cli, one, description.of(one.kind).create)
    const members = Object.entries(live?.body ?? {})
    const changes = members.map(([field, before]) => ({ field, before }))
    found.push({ ...keyOf(one), place: null, changes, refusal: null, waits: null })
  }
  return found
}

function sayDifference(cli: Cli, difference: Difference): void {
  const { kind, mesh, name, place, changes, refusal, waits } = difference
  const word = kind === 'Mesh' ? `Mesh ${name}` : `${kind} ${mesh}/${name}`
  cli.say(`${word} (${place ?? 'in no file any more'})`)
  for (const line of changeLines(changes)) cli.say(line)
  if (waits !== null) cli.say(`# in force once a proposal of it is approved: ${waits}`)
  if (refusal !== null) cli.say(`# cannot be applied: ${refusal}`)
}

type NamedObject = Pick<Wanted, 'kind' | 'mesh' | 'name'>

function keyOf({ kind, mesh, name }: NamedObject): {
  readonly kind: string
  readonly mesh: string
  readonly name: string
} {
  return { kind: kind.kind, mesh, name }
}
