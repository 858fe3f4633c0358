// Formulas of notebooks: the TeX that Markdown cells use, as MathML Core, which browsers draw without any script.
import { escapeHtml } from '../plot/index.js';

const TOKEN = /\\[A-Za-z]+|\\[\s\S]|\d+(?:\.\d+)?|\s+|[\s\S]/g;

const GREEK: Readonly<Record<string, string>> = {
  alpha: 'α',
  beta: 'β',
  gamma: 'γ',
  delta: 'δ',
  epsilon: 'ϵ',
  varepsilon: 'ε',
  zeta: 'ζ',
  eta: 'η',
  theta: 'θ',
  iota: 'ι',
  kappa: 'κ',
  lambda: 'λ',
  mu: 'μ',
  nu: 'ν',
  xi: 'ξ',
  pi: 'π',
  rho: 'ρ',
  sigma: 'σ',
  tau: 'τ',
  phi: 'ϕ',
  varphi: 'φ',
  chi: 'χ',
  psi: 'ψ',
  omega: 'ω',
  Gamma: 'Γ',
  Delta: 'Δ',
  Theta: 'Θ',
  Lambda: 'Λ',
  Xi: 'Ξ',
  Pi: 'Π',
  Sigma: 'Σ',
  Phi: 'Φ',
  Psi: 'Ψ',
  Omega: 'Ω',
  ell: 'ℓ',
  infty: '∞',
  partial: '∂',
  nabla: '∇',
  emptyset: '∅',
  prime: '′',
};

const OPERATORS: Readonly<Record<string, string>> = {
  cdot: '·',
  times: '×',
  div: '÷',
  pm: '±',
  mp: '∓',
  ast: '∗',
  circ: '∘',
  odot: '⊙',
  oplus: '⊕',
  otimes: '⊗',
  le: '≤',
  leq: '≤',
  ge: '≥',
  geq: '≥',
  ne: '≠',
  neq: '≠',
  approx: '≈',
  sim: '∼',
  equiv: '≡',
  propto: '∝',
  ll: '≪',
  gg: '≫',
  to: '→',
  rightarrow: '→',
  leftarrow: '←',
  Rightarrow: '⇒',
  mapsto: '↦',
  in: '∈',
  notin: '∉',
  subset: '⊂',
  cup: '∪',
  cap: '∩',
  forall: '∀',
  exists: '∃',
  mid: '|',
  ldots: '…',
  cdots: '⋯',
  dots: '…',
  lVert: '‖',
  rVert: '‖',
  top: '⊤',
  langle: '⟨',
  rangle: '⟩',
  lfloor: '⌊',
  rfloor: '⌋',
  lceil: '⌈',
  rceil: '⌉',
  '{': '{',
  '}': '}',
  '|': '‖',
  '%': '%',
};

const LARGE: Readonly<Record<string, string>> = { sum: '∑', prod: '∏', int: '∫' };

const FUNCTIONS = new Set(['log', 'ln', 'exp', 'max', 'min', 'sin', 'cos', 'tan', 'tanh', 'arg', 'det', 'lim', 'sup']);

const ACCENTS: Readonly<Record<string, string>> = { hat: '^', bar: '¯', tilde: '~', vec: '→', dot: '˙', overline: '¯' };

const SPACES: Readonly<Record<string, string>> = {
  ',': '0.17em',
  ':': '0.22em',
  ';': '0.28em',
  ' ': '0.25em',
  quad: '1em',
  qquad: '2em',
  '\\': '2em',
  '!': '0',
};

const DOUBLE: Readonly<Record<string, string>> = { R: 'ℝ', N: 'ℕ', Z: 'ℤ', E: '𝔼', P: 'ℙ', C: 'ℂ', Q: 'ℚ' };
const SCRIPT: Readonly<Record<string, string>> = { L: 'ℒ', N: '𝒩', D: '𝒟', B: 'ℬ', H: 'ℋ', O: '𝒪', U: '𝒰', X: '𝒳' };

/** TeX as a `<math>` element; a command that is not known here stands as its name. */
export function mathHtml(tex: string, display: boolean): string {
  const parser = new TexParser(tex.match(TOKEN) ?? []);
  const body = parser.row();
  return `<math${display ? ' display="block"' : ''} aria-label="${escapeHtml(tex.trim())}"><mrow>${body}</mrow></math>`;
}

class TexParser {
  #at = 0;
  constructor(private readonly tokens: readonly string[]) {}

  /** Everything up to `}` (taken) or the end. */
  row(): string {
    let html = '';
    for (let atom = this.#scripted(); atom !== undefined; atom = this.#scripted()) html += atom;
    return html;
  }

  #peek(): string | undefined {
    while (this.tokens[this.#at]?.trim() === '') this.#at++;
    return this.tokens[this.#at];
  }

  /** An atom with what stands below and above it. */
  #scripted(): string | undefined {
    const first = this.#peek();
    const atom = first === '^' || first === '_' ? '<mrow></mrow>' : this.#atom();
    if (atom === undefined) return undefined;
    let below: string | undefined;
    let above: string | undefined;
    for (let mark = this.#peek(); mark === '_' || mark === '^' || mark === "'"; mark = this.#peek()) {
      this.#at++;
      if (mark === '_') below = this.#argument();
      else if (mark === '^') above = this.#argument();
      else above = `${above ?? ''}<mo>′</mo>`;
    }
    const limits = first !== undefined && (first.slice(1) in LARGE || ['\\max', '\\min', '\\lim'].includes(first));
    const [sub, sup, both] = limits ? ['munder', 'mover', 'munderover'] : ['msub', 'msup', 'msubsup'];
    const [low, high] = [below, above].map((part) => `<mrow>${part ?? ''}</mrow>`);
    if (below !== undefined && above !== undefined) return `<${both}>${atom}${low}${high}</${both}>`;
    if (below !== undefined) return `<${sub}>${atom}${low}</${sub}>`;
    return above === undefined ? atom : `<${sup}>${atom}${high}</${sup}>`;
  }

  /** What a command or a script applies to: one atom or a group. */
  #argument(): string {
    this.#peek();
    return this.#atom() ?? '';
  }

  /** The text of a group, for names and words. */
  #text(): string {
    if (this.#peek() !== '{') return this.tokens[this.#at++] ?? '';
    let text = '';
    this.#at++;
    for (let depth = 1; this.#at < this.tokens.length; ) {
      const token = this.tokens[this.#at++]!;
      if (token === '{') depth++;
      if (token === '}' && --depth === 0) break;
      text += /^\\[^A-Za-z]/.test(token) ? token.slice(1) : token;
    }
    return text;
  }

  #atom(): string | undefined {
    const token = this.#peek();
    if (token === undefined) return undefined;
    this.#at++;
    if (token === '}') return undefined;
    if (token === '{') return `<mrow>${this.row()}</mrow>`;
    if (token.startsWith('\\') && token.length > 1) return this.#command(token.slice(1));
    if (/^\d/.test(token)) return `<mn>${token}</mn>`;
    if (/^\p{L}$/u.test(token)) return `<mi>${token}</mi>`;
    // Brackets grow only where \left and \right say so.
    if (/^[()[\]|]$/.test(token)) return `<mo stretchy="false">${token}</mo>`;
    return `<mo>${escapeHtml(token === '-' ? '−' : token === '*' ? '∗' : token)}</mo>`;
  }

  #command(name: string): string {
    const greek = GREEK[name];
    if (greek) return `<mi>${greek}</mi>`;
    const operator = LARGE[name] ?? OPERATORS[name];
    if (operator) return `<mo>${operator}</mo>`;
    const space = SPACES[name];
    if (space) return `<mspace width="${space}"></mspace>`;
    const accent = ACCENTS[name];
    if (accent) return `<mover accent="true"><mrow>${this.#argument()}</mrow><mo>${accent}</mo></mover>`;
    if (FUNCTIONS.has(name)) return `<mi>${name}</mi><mspace width="0.17em"></mspace>`;
    switch (name) {
      case 'frac':
      case 'tfrac':
      case 'dfrac':
        return `<mfrac><mrow>${this.#argument()}</mrow><mrow>${this.#argument()}</mrow></mfrac>`;
      case 'sqrt':
        return `<msqrt>${this.#argument()}</msqrt>`;
      case 'left':
      case 'right': {
        const delimiter = this.#text();
        const drawn = OPERATORS[delimiter.replace('\\', '')] ?? delimiter;
        return delimiter === '.' ? '' : `<mo stretchy="true">${escapeHtml(drawn)}</mo>`;
      }
      case 'operatorname':
      case 'mathrm':
      case 'mathit':
        return `<mi mathvariant="normal">${escapeHtml(this.#text())}</mi>`;
      case 'text':
        return `<mtext>${escapeHtml(this.#text())}</mtext>`;
      case 'mathbf':
      case 'boldsymbol':
        return `<mrow style="font-weight:bold">${this.#argument()}</mrow>`;
      case 'mathbb':
      case 'mathcal': {
        const letter = this.#text();
        return `<mi>${escapeHtml((name === 'mathbb' ? DOUBLE : SCRIPT)[letter] ?? letter)}</mi>`;
      }
      default:
        return `<mtext>${escapeHtml(/^[A-Za-z]/.test(name) ? `\\${name}` : name)}</mtext>`;
    }
  }
}
