/** A Markdown page, as far as tests of the documentation look into it. */
export interface Page {
  /** Anchors of its headings, as GitHub makes them. */
  readonly anchors: ReadonlySet<string>
  /** Targets of its links, without those in code. */
  readonly links: readonly string[]
  /** Lines of its code blocks for shells; continued ones are joined. */
  readonly shellLines: readonly string[]
  /** Lines of its code blocks without a language, which hold commands and what was printed. */
  readonly plainLines: readonly string[]
  /** Texts between backticks, outside of code blocks. */
  readonly codeSpans: readonly string[]
}

const FENCE = /^\s*```([a-z]*)/

const SHELLS: ReadonlySet<string> = new Set(['sh', 'shell', 'bash', 'console'])

/** Reads a page. */
export function readPage(text: string): Page {
  const prose: string[] = []
  const shell: string[] = []
  const plain: string[] = []
  let language: string | undefined
  for (const line of text.split('\n')) {
    const [, fence] = FENCE.exec(line) ?? []
    if (fence !== undefined) language = language === undefined ? fence : undefined
    else if (language === undefined) prose.push(line)
    else if (SHELLS.has(language)) shell.push(line)
    else if (language === '') plain.push(line)
  }
  const joined = prose.join('\n')
  const withoutCode = joined.replaceAll(/`[^`]*`/g, '')
  return {
    anchors: anchorsOf(prose),
    links: [...withoutCode.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target),
    shellLines: joinContinued(shell),
    plainLines: joinContinued(plain),
    codeSpans: [...joined.matchAll(/`([^`]+)`/g)].map(([, span = '']) =>
      span.replaceAll(/\s+/g, ' ').replaceAll(String.raw`\|`, '|'),
    ),
  }
}

function joinContinued(lines: readonly string[]): string[] {
  return lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
}

function anchorsOf(prose: readonly string[]): Set<string> {
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  for (const line of prose) {
    const [, title] = /^#{1,6} (.*)$/.exec(line) ?? []
    if (title === undefined) continue
    const slug = title
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-')
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    anchors.add(count === 0 ? slug : `${slug}-${count}`)
  }
  return anchors
}
