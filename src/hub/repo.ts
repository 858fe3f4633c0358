// A model repository of the Hugging Face hub: which commit a revision is, which files it has, and their contents, checked
// and cached. Asks through `@huggingface/hub`; contents come over plain HTTP, which continues where a connection broke.
import { createHash } from 'node:crypto';
import { readFile, rename, rm } from 'node:fs/promises';
import { fileDownloadInfo, listFiles, modelInfo } from '@huggingface/hub';
import { type DownloadOptions, download } from '../data/index.js';
import { UsageError } from '../errors.js';
import { COMMIT, hubCacheDir, type Manifest, RepoCache, type RepoFile } from './cache.js';
import { HubError, hubError } from './errors.js';

export interface HubOptions {
  /** Branch, tag or commit. Default `main`. */
  revision?: string;
  /** Default: `hub` in `$VITLAB_CACHE`, else in `~/.cache/vitlab`. */
  cacheDir?: string;
  /** Use the cache alone. Default: whether `VITLAB_OFFLINE` is set to 1. */
  offline?: boolean;
  /** How downloads try again, and who is told of their progress. */
  download?: Pick<DownloadOptions, 'attempts' | 'retryMs' | 'silenceMs' | 'onProgress'>;
}

/** A repository at one commit. */
export class HubRepo {
  private constructor(
    readonly name: string,
    readonly commit: string,
    readonly files: Manifest,
    private readonly connection: Connection,
  ) {}

  /**
   * Opens a repository such as `timm/vit_base_patch16_224.augreg_in21k`. Asks the hub for the commit and its files, but
   * not for a commit that was listed before. `HF_ENDPOINT` names another hub, `HF_TOKEN` gives access.
   * @throws UsageError for what is no name or token; HubError where the hub refuses or cannot be reached, or offline
   * where the cache lacks the revision
   */
  static async open(name: string, options: HubOptions = {}): Promise<HubRepo> {
    const connection = connect(name, options);
    const { cache, offline } = connection;
    const revision = options.revision ?? 'main';
    const known = offline || COMMIT.test(revision) ? cache.commitOf(revision) : undefined;
    const listed = known === undefined ? undefined : cache.manifestOf(known);
    if (known !== undefined && listed) return new HubRepo(name, known, listed, connection);
    if (offline) throw new HubError(`${name} at '${revision}' is not in the cache, and ${ONCE_ONLINE}`);
    const { commit, files } = await ask(name, revision, connection);
    cache.keep(revision, commit, files);
    return new HubRepo(name, commit, files, connection);
  }

  /**
   * The path of a file's contents on this machine; downloads them where they are not there yet, continues a broken
   * download, and checks them against the hash that the hub has given.
   * @throws HubError where the repository has no such file, the hub refuses it, the contents are wrong, or offline
   */
  async file(path: string): Promise<string> {
    const file = this.files[path];
    if (!file) {
      throw new HubError(`${this.name} has no file ${path}; it has ${Object.keys(this.files).join(', ') || 'none'}.`);
    }
    const { cache, endpoint, offline } = this.connection;
    if (!cache.has(file)) {
      if (offline) throw new HubError(`${path} of ${this.name} is not in the cache, and ${ONCE_ONLINE}`);
      try {
        await this.fetch(path, file);
      } catch (error) {
        throw hubError(`${path} of ${this.name}`, endpoint, error);
      }
    }
    return cache.blob(file);
  }

  private async fetch(path: string, file: RepoFile): Promise<void> {
    const { cache, endpoint, accessToken, options } = this.connection;
    const place = { repo: this.name, path, revision: this.commit, hubUrl: endpoint, ...token(accessToken) };
    const info = await fileDownloadInfo(place);
    if (!info) throw new HubError(`${endpoint} has no ${path} in ${this.name} although it lists one.`, 404);
    const blob = cache.blob(file);
    const arrived = `${blob}.unchecked`;
    const large = file.hash.length === 64;
    const ownServer = new URL(info.url).origin === new URL(endpoint).origin;
    await download(info.url, arrived, {
      ...options.download,
      ...(accessToken && ownServer && { headers: { authorization: `Bearer ${accessToken}` } }),
      ...(large && { sha256: file.hash }),
    });
    const found = large ? file.hash : gitHash(await readFile(arrived));
    if (found !== file.hash) {
      await rm(arrived);
      throw new HubError(
        `${path} of ${this.name} arrived with the git hash ${found}, expected ${file.hash}. Try again.`,
      );
    }
    await rename(arrived, blob);
  }
}

interface Connection {
  cache: RepoCache;
  endpoint: string;
  offline: boolean;
  accessToken: string | undefined;
  options: HubOptions;
}

const ONCE_ONLINE = 'this is offline mode (VITLAB_OFFLINE=1, or { offline: true }). Load it once with a network.';

function connect(name: string, options: HubOptions): Connection {
  if (!/^([\w.-]+\/)?[\w.-]+$/.test(name)) {
    throw new UsageError(`'${name}' is no name of a repository, such as timm/vit_base_patch16_224.augreg_in21k.`);
  }
  const endpoint = (process.env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:\/\/[^/]/.test(endpoint)) throw new UsageError(`HF_ENDPOINT is '${endpoint}', expected https://….`);
  const accessToken = process.env['HF_TOKEN'] || undefined;
  if (accessToken?.startsWith('hf_') === false) throw new UsageError("HF_TOKEN is no token: it must start with 'hf_'.");
  return {
    cache: new RepoCache(options.cacheDir ?? hubCacheDir(), endpoint, name),
    endpoint,
    offline: options.offline ?? process.env['VITLAB_OFFLINE'] === '1',
    accessToken,
    options,
  };
}

const token = (accessToken: string | undefined) => (accessToken === undefined ? {} : { accessToken });

async function ask(name: string, revision: string, { endpoint, accessToken }: Connection) {
  const common = { hubUrl: endpoint, ...token(accessToken) };
  try {
    const { sha: commit } = await modelInfo({ ...common, name, revision, additionalFields: ['sha'] });
    if (!COMMIT.test(commit)) throw new HubError(`${endpoint} gives '${commit}' as the commit of ${name}.`);
    const files: Record<string, RepoFile> = Object.create(null);
    for await (const { type, path, size, oid, lfs } of listFiles({ ...common, repo: name, revision: commit })) {
      if (type === 'file') files[path] = { hash: lfs?.oid ?? oid ?? '', size: lfs?.size ?? size };
    }
    return { commit, files };
  } catch (error) {
    throw hubError(`${name} at '${revision}'`, endpoint, error);
  }
}

/** The hash that git gives to a file. */
const gitHash = (contents: Buffer): string =>
  createHash('sha1').update(`blob ${contents.length}\0`).update(contents).digest('hex');
