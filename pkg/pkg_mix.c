/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_mix.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_entries.h"
#include "pkg/pkg_run.h"
#include "templates/templates.h"

enum { MIX_MS = 30 * 60 * 1000, HEX_LEN = 64 };

struct cache {
    const char *dir, *facts, *script, *fingerprint;
};

/* What `mix` takes as its environment; a release is made for prod unless somebody says otherwise.
 */
static const char *mix_env(void)
{
    const char *env = getenv("MIX_ENV");

    return env && *env ? env : "prod";
}

/* Mix.Project.build_path/1 */
static const char *build_dir(struct pkg_project *p)
{
    const char *given = getenv("MIX_BUILD_PATH"), *target = getenv("MIX_TARGET");

    if (given && *given)
        return pkg_project_path(p, given);
    if (target && *target && strcmp(target, "host") != 0)
        return pkg_project_path(p, pkg_project_strf(p, "_build/%s_%s", target, mix_env()));
    return pkg_project_path(p, pkg_project_strf(p, "_build/%s", mix_env()));
}

static bool is_app_file(const char *rel, void *ctx)
{
    const char *file = strrchr(rel, '/');
    size_t n = strlen(rel);

    (void)ctx;
    if (!file)
        return true; /* lib/NAME */
    if (strchr(rel, '/') == file)
        return !strcmp(file, "/ebin");
    return n > 4 && !strcmp(rel + n - 4, ".app");
}

static bool is_config(const char *rel, void *ctx)
{
    const char *in_app = strchr(rel, '/');

    (void)ctx;
    return !in_app || !strcmp(in_app, "/mix.exs") || !strncmp(in_app, "/config", 7);
}

static int add_if_there(struct pkg_project *p, struct pkg_entries *es, const char *name,
                        bool (*take)(const char *rel, void *ctx), struct rel_err *e)
{
    const char *path = pkg_project_path(p, name);
    struct pkg_add_tree add = {.from = path, .to = *name == '/' ? name + 1 : name, .take = take};

    if (rel_is_file(AT_FDCWD, path))
        pkg_entries_add_file(es, name, path, 0644);
    return rel_is_dir(AT_FDCWD, path) ? pkg_entries_add_tree(es, &add, e) : 0;
}

static int hash_entries(const struct pkg_entries *es, EVP_MD_CTX *md, struct rel_err *e)
{
    for (size_t i = 0; i < es->n; i++) {
        rel_autofree char *data = NULL, *head = NULL;
        size_t len = 0;

        if (es->v[i].kind == PKG_ENTRY_FILE && pkg_entry_content(&es->v[i], &data, &len, e) < 0)
            return -1;
        head = rel_strf("%s %zu\n", es->v[i].path, len);
        EVP_DigestUpdate(md, head, strlen(head));
        if (data)
            EVP_DigestUpdate(md, data, len);
    }
    return 0;
}

static void hash_text(EVP_MD_CTX *md, const char *text)
{
    EVP_DigestUpdate(md, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* Of all that mix's answer depends on: the project's own files by their content, and through the
 * .app files what was compiled. */
static int make_fingerprint(struct pkg_project *p, const struct pkg_mix *mix, char hex[HEX_LEN + 1],
                            struct rel_err *e)
{
    static const char *const files[] = {"mix.exs", "mix.lock", "config", "rel"};
    pkg_autoentries struct pkg_entries es = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md;
    int status;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        if (add_if_there(p, &es, files[i], NULL, e) < 0)
            return -1;
    if (add_if_there(p, &es, "apps", is_config, e) < 0 ||
        add_if_there(p, &es, pkg_project_strf(p, "%s/lib", build_dir(p)), is_app_file, e) < 0)
        return -1;
    pkg_entries_sort(&es);
    md = EVP_MD_CTX_new();
    if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        abort();
    hash_text(md, RELPACK_VERSION);
    hash_text(md, template_mix_release);
    hash_text(md, p->dir);
    hash_text(md, mix_env());
    hash_text(md, getenv("MIX_TARGET"));
    hash_text(md, mix->name);
    hash_text(md, mix->vsn);
    status = hash_entries(&es, md, e);
    EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < HEX_LEN / 2; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return status;
}

static bool is_current(struct pkg_project *p, const struct pkg_mix *mix, const struct cache *cache)
{
    rel_autofree char *kept = NULL;
    struct rel_err ignored = {0};
    char hex[HEX_LEN + 1];
    size_t len;

    if (mix->compile || !rel_is_file(AT_FDCWD, cache->facts) ||
        rel_read_file(AT_FDCWD, cache->fingerprint, HEX_LEN, &kept, &len, &ignored) < 0)
        return false;
    return make_fingerprint(p, mix, hex, &ignored) == 0 && !strcmp(kept, hex);
}

/* Runs a task of the script, which lies in the cache's folder. */
static int run_task(struct pkg_project *p, const struct pkg_mix *mix, const struct cache *cache,
                    const char *const *task, struct rel_err *e)
{
    const char *argv[] = {"elixir", "-r",    cache->script, "-S",    "mix",
                          task[0],  task[1], task[2],       task[3], NULL};
    const char *const env[] = {pkg_project_strf(p, "MIX_ENV=%s", mix_env()),
                               pkg_project_strf(p, "RELPACK_NAME=%s", mix->name ? mix->name : ""),
                               pkg_project_strf(p, "RELPACK_VERSION=%s", mix->vsn ? mix->vsn : ""),
                               NULL};
    struct pkg_run run = {
        .argv = argv, .env = env, .dir = p->dir, .timeout_ms = MIX_MS, .progress = mix->progress};
    rel_autobuf struct rel_buf out = {0};

    if (rel_replace_file(AT_FDCWD, cache->script, template_mix_release, TEMPLATE_LEN(mix_release),
                         0644, e) < 0)
        return -1;
    return pkg_run(&run, &out, e) < 0 ? rel_wrap(e, "mix in %s", p->dir) : 0;
}

static int ask_mix(struct pkg_project *p, const struct pkg_mix *mix, const struct cache *cache,
                   struct rel_err *e)
{
    const char *const task[] = {"relpack.facts", cache->facts, mix->compile ? NULL : "--no-compile",
                                NULL};
    char hex[HEX_LEN + 1];

    if (rel_mkdirs(AT_FDCWD, cache->dir, 0755, e) < 0)
        return -1;
    /* Without a fingerprint the facts count for nothing, whatever happens on the way. */
    unlink(cache->fingerprint);
    if (run_task(p, mix, cache, task, e) < 0 || make_fingerprint(p, mix, hex, e) < 0)
        return -1;
    return rel_replace_file(AT_FDCWD, cache->fingerprint, hex, HEX_LEN, 0644, e);
}

/* A fact that is text, or NULL for []. */
static const char *text_of(const struct pkg_term *facts, const char *key)
{
    const char *text = pkg_chars(pkg_get(facts, key));

    return text && *text ? text : NULL;
}

static void add_strings(struct pkg_project *p, struct pkg_strings *list,
                        const struct pkg_term *facts, const char *key)
{
    const struct pkg_term *t = pkg_get(facts, key);

    for (size_t i = 0; i < pkg_len(t); i++)
        if (pkg_chars(pkg_at(t, i)))
            pkg_strings_add(p, list, pkg_chars(pkg_at(t, i)));
}

static int take_facts(struct pkg_project *p, const struct pkg_mix *mix, const struct cache *cache,
                      struct rel_err *e)
{
    const struct pkg_term *facts;
    struct pkg_terms terms;

    if (pkg_terms_read(&p->arena, AT_FDCWD, cache->facts, &terms, e) < 0)
        return -1;
    facts = pkg_seq(&p->arena, PKG_LIST, terms.v, terms.n);
    p->name = text_of(facts, "name");
    p->vsn = text_of(facts, "version");
    p->rel_apps = pkg_get(facts, "apps");
    if (!p->name || !p->vsn || !pkg_is_list(p->rel_apps))
        return rel_fail(e, REL_E_INTERNAL, 0, "%s is not what mix was asked for", cache->facts);
    p->rel_file = pkg_project_strf(p, "%s/%s.rel", cache->dir, p->name);
    p->erts_dir = text_of(facts, "erts_source");
    p->include_erts = p->erts_dir != NULL;
    p->strip_beams = pkg_is_atom(pkg_get(facts, "strip_beams"), "true");
    p->mix_steps = pkg_is_atom(pkg_get(facts, "steps"), "true");
    add_strings(p, &p->strip_keep, facts, "strip_keep");
    if (pkg_is_atom(pkg_get(facts, "cookie"), "true"))
        rel_progress_warn(mix->progress,
                          "mix.exs: the cookie of %s is left out, set RELEASE_COOKIE "
                          "on the host instead",
                          p->name);
    /* what a function answers may be another thing the next time */
    if (pkg_is_atom(pkg_get(facts, "functions"), "true"))
        unlink(cache->fingerprint);
    p->sys_config.text = text_of(facts, "sys_config");
    p->env_sh.text = text_of(facts, "env_sh");
    p->vm_args.text = text_of(facts, "vm_args");
    p->remote_vm_args.text = text_of(facts, "remote_vm_args");
    p->runtime_exs.path = text_of(facts, "runtime");
    p->consolidated = text_of(facts, "consolidated");
    if (p->consolidated && !rel_is_dir(AT_FDCWD, p->consolidated))
        p->consolidated = NULL;
    if (pkg_is_tuple(pkg_get(facts, "boot"), 2))
        p->config_providers = pkg_get(facts, "boot");
    add_strings(p, &p->lib_dirs, facts, "paths");
    add_strings(p, &p->overlay_dirs, facts, "overlays");
    return 0;
}

static struct cache cache_of(struct pkg_project *p)
{
    const char *dir = pkg_project_strf(p, "%s/relpack", build_dir(p));

    return (struct cache){.dir = dir,
                          .facts = pkg_project_strf(p, "%s/facts", dir),
                          .script = pkg_project_strf(p, "%s/mix_release.exs", dir),
                          .fingerprint = pkg_project_strf(p, "%s/fingerprint", dir)};
}

int pkg_mix_read(struct pkg_project *p, const struct pkg_mix *mix, struct rel_err *e)
{
    struct cache cache = cache_of(p);

    if (!is_current(p, mix, &cache) && ask_mix(p, mix, &cache, e) < 0)
        return -1;
    return take_facts(p, mix, &cache, e);
}

int pkg_mix_run_steps(struct pkg_project *p, const struct pkg_mix *mix, const char *tree,
                      struct rel_err *e)
{
    const char *const task[] = {"relpack.steps", tree, NULL, NULL};
    struct cache cache = cache_of(p);

    return run_task(p, mix, &cache, task, e);
}
